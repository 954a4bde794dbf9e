namespace Platform.GpuKernels.Tests.Search;

internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("platform-search-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
