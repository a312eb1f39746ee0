# SPDX-License-Identifier: BSD-3-Clause
"""How a test ends other than well."""


class Failed(Exception):
    """What was expected and what was seen, in one line where that is possible."""


class Skipped(Exception):
    """Why the test cannot run here."""
