namespace Platform.GpuKernels.Embedding;

/// <summary>A model's directory that cannot be used: a file is missing or damaged, or asks for something that is not built here. The message names it.</summary>
/// <param name="file">Relative to the model's directory.</param>
public sealed class UnusableModelException(string file, string problem) : Exception($"{file}: {problem}")
{
    public string File { get; } = file;
}
