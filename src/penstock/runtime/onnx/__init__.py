"""Exported graphs run by ONNX Runtime, without torch and without its telemetry."""

import os

# its official builds report machine and process to their maker, unless told before the import
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
