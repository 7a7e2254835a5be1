"""Many runs: compare prompts on inputs, check answers, and decide."""
