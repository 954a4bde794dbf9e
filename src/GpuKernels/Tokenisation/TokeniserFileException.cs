namespace Platform.GpuKernels.Tokenisation;

/// <summary>A tokenizer.json or vocabulary that cannot be used: the message names the place in the file, what is wrong there, and what is supported.</summary>
public sealed class TokeniserFileException(string message, Exception? inner = null) : Exception(message, inner);
