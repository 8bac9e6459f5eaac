"""Trickle: channels of numbered segments over HTTP, the client and the server."""
