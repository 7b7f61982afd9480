"""The preference stage: from a model of the next item to a model of what people want.

Next-item likelihood rewards a model for the probability of what came next, wherever it ranks; people see ten items.
Here a trained model proposes lists for moments of the training events, rewards say how good the lists are, and an
objective moves the model towards the better ones while a reference holds it back.

    prompts -> policy -> sampled lists -> rewards -> objective -> policy
"""
