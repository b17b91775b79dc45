"""How the pocket upscaler is trained: drawn people, made small and a little worse."""
