"""Item tokenizers: from what is known of an item to its semantic ID."""
