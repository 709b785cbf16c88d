"""How long what is asked to stop may take.

Docker kills what has not ended ten seconds after it was asked to, so all of it stays below: the
answers that are being read, then the jobs of the API's own worker, then everything else.
"""

from typing import Final

__all__ = ["EMBEDDED_STEPS_SEC", "STEPS_SEC", "STREAMS_SEC"]

# Requests and streams that are open; then they are cut off, with an event that says so.
STREAMS_SEC: Final = 4
# Steps of jobs, in a worker of its own. What is not done by then is done again by another one.
STEPS_SEC: Final = 7
# The same in the API's worker, which stops after the streams.
EMBEDDED_STEPS_SEC: Final = 1
