# SPDX-License-Identifier: BSD-3-Clause
"""The host's side of the tests: lanes, and how their results are told."""
