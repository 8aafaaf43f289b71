"""What is sent to a model and which part of its vector counts: profiles, prompts, Matryoshka dimensions."""
