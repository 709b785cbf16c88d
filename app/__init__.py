"""bRAG: a retrieval-augmented generation backend without a framework."""

import os

__version__ = "0.1.0"

# onnxruntime sends its maker what it is used for, unless it is told not to before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
