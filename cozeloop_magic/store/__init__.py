"""Every finished run, kept once: what a job resumes from, a cache answers from and a history lists."""
