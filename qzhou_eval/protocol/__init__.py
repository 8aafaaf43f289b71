"""What is sent to a model and which part of its vectors is used: profiles, prompts, Matryoshka dimensions."""
