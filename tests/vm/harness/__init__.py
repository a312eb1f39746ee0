# SPDX-License-Identifier: BSD-3-Clause
"""What a test in the guest works with: `from harness import test, Case, …`."""

from .registry import ALL, LIKE, USER_SPACE, Case, test
from .result import Failed, Skipped

__all__ = ["ALL", "LIKE", "USER_SPACE", "Case", "test", "Failed", "Skipped"]
