"""
Configuration: values, files, and what stands in them.

A provider is described by a table of names and values, wherever it comes from: an ``LLMConfig``, a dict, a file. A table becomes the
arguments of a client, of either face.
"""
