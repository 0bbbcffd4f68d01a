"""What a target of server-sent events says differently from others."""

REALTIME_SCHEMES = ("https", "http")
"""A stream is the answer to a plain GET. Source: WHATWG HTML, section 9.2.3."""

EMULATED = False
"""There is no emulator of it; nchan is a real server that runs on one machine."""
