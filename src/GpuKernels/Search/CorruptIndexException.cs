namespace Platform.GpuKernels.Search;

/// <summary>A file of an index is not what was written, or was written by another version: it cannot be repaired, only rebuilt from the events.</summary>
public sealed class CorruptIndexException(string file, string wrong) : IOException($"{file} cannot be used as an index: {wrong}. Remove its folder and rebuild the index from the events.")
{
    /// <summary>The file.</summary>
    public string File { get; } = file;
}
