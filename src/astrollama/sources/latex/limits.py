"""What a source package may ask for; beyond these a paper is given up, with the limit as its reason."""

from __future__ import annotations

MIB = 2**20
MAX_PACKAGE_BYTES = 256 * MIB  # of the package as it lies on the disk
MAX_UNPACKED_BYTES = 1024 * MIB  # figures included
MAX_RATIO = 200  # unpacked to packed, for packages that unpack to more than RATIO_FROM_BYTES
RATIO_FROM_BYTES = 32 * MIB
MAX_MEMBERS = 10_000
MAX_TEXT_FILE_BYTES = 8 * MIB  # of one file of TeX
MAX_TEXT_BYTES = 32 * MIB  # of all of them
MAX_NAME_CHARACTERS = 512

MAX_TOKENS = 4_000_000  # read or made by expansion; a thesis of 1 MB has about 300,000
MAX_PENDING_LISTS = 20_000  # expansions that are begun and not read to their end
MAX_INPUT_DEPTH = 16
MAX_INCLUDED_FILES = 2_000
MAX_GROUP_DEPTH = 255  # of braces; TeX itself allows no more
MAX_DELIMITED_TOKENS = 5_000  # of an optional argument, or of one that ends at a given token

MAX_RAW_CHARACTERS = 10_000  # of a URL, of what stands in \verb
