"""Server side of meritrec: data, tokenizers, models, training, evaluation, export; never on a device."""
