"""What trickle says on the wire: header names, its own status, the numbers both sides count on.

Taken from trickle/trickle_server.go and trickle_publisher.go of go-livepeer.
"""

from typing import Final

SEQ: Final = "Lp-Trickle-Seq"
"""Response: the number of the segment this answer is about; on 470 the one that was asked for."""

LATEST: Final = "Lp-Trickle-Latest"
"""Response: the segment that will be written next, not the last complete one."""

CLOSED: Final = "Lp-Trickle-Closed"
"""Response: with any value, the channel has ended."""

RESET: Final = "Lp-Trickle-Reset"
"""Publish request: with any value, the publisher began anew and lower segments are over."""

EXPECT_CONTENT: Final = "Expect-Content"
"""Create request: the media type of the channel."""

TERMINATED: Final = "terminated"
"""What the server writes into CLOSED."""

NO_SUCH_SEGMENT: Final = 470
"""Status: the channel is there, the segment is not (yet, or not any more)."""

NEXT: Final = -1
"""As a number in a URL: the segment that will be written next."""

CURRENT: Final = -2
"""As a number in a GET: the segment that was begun last."""

WINDOW: Final = 5
"""Segments a channel keeps, those that wait for their first byte included."""

INTERIM_S: Final = 10.0
"""Between two `100 Continue` while a publisher has sent no byte yet."""

SWEEP_S: Final = 60.0
"""Between two looks for idle channels."""

IDLE_S: Final = 300.0
"""Without a write for so long, a channel is closed."""

CHANGES: Final = "_changes"
"""The channel that tells which channels come and go, where a server offers it."""
