"""Typed configuration: what files and command lines may set, and how it is read and checked."""
