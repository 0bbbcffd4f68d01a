"""Chatters on sockets, viewers polling: the only system that is made of two others.

It joins AppSync Events and polling and adds nothing of its own but the joint: its modules may
import those of the two.
"""
