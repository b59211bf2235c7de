"""Changed descriptions of recordings."""

import dataclasses


def changed(source, **values):
    """The source with other values; each belongs to a field of the source or of its layout's options."""
    own = {field.name for field in dataclasses.fields(source)} - {"behavior"}
    fields = {name: value for name, value in values.items() if name in own}
    options = {name: value for name, value in values.items() if name not in own}
    return dataclasses.replace(source, options=dataclasses.replace(source.options, **options), **fields)
