"""What comes from outside is decoded here, in limited processes.

`task` is what such a process does, with `images` and `streams`; `decoder` asks it.
"""
