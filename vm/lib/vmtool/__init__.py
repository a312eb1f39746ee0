# SPDX-License-Identifier: BSD-3-Clause
"""The throw-away guest: kernels, images, module builds and running commands."""
