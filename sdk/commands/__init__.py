"""The `meritrec` commands by topic: a module holds what its commands take and do, and `sdk.cli` lists them."""
