"""Sockets on gevent's loop: TCP, TLS and WebSocket, with kernel receive timestamps.

A join runs in its user's greenlet and may wait. Once joined, a connection belongs to an I/O
watcher: a message costs one callback and wakes no greenlet. Imports core only.
"""
