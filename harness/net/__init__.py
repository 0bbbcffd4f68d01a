"""Sockets on gevent's loop: TCP, TLS and WebSocket, with kernel receive timestamps.

A join runs in its user's greenlet and may wait. Once joined, a connection is read in
rounds with all others: a message costs a call or two and wakes no greenlet. Imports core only.
"""
