"""What every handler needs, and the way from texts to translations that all APIs share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.requests import Request

from penstock.errors import PenstockError
from penstock.searching import SearchOptions
from penstock.serve.detection import Detected, Detector
from penstock.serve.failures import RequestError
from penstock.serve.guards import key_in_header
from penstock.serve.keys import ApiKeys
from penstock.serve.language_names import base_language
from penstock.serve.lines import Text, join_translations, split_lines
from penstock.serve.serving import Models, Serving
from penstock.serve.settings import Settings
from penstock.serve.waiting import unless_gone
from penstock.serve.worker import Worker
from penstock.translation import Translation
from penstock.translator import Translator
