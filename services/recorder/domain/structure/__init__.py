"""How bytes of each format are built, checked while they stream. Pure.

Only what headers and tables say is looked at, never a picture or a sound itself: that a file is
whole, ends where it ends, holds nothing behind its end, refers to nothing outside, and claims no
more pixels, pictures, streams or seconds than is sensible. What needs decoding is not known here.
"""
