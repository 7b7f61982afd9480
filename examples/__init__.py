"""Programs that show the SDK at work; a test runs each."""
