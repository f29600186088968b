"""For every test: nothing goes into the user's compile cache, or comes from it."""

import os

os.environ["MIXER_BENCH_COMPILE_CACHE"] = "off"
