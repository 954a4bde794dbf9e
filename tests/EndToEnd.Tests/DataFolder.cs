namespace Platform.EndToEnd.Tests;

/// <summary>
/// A temporary data folder with a PostgreSQL of its own (made by the first command), which is stopped at the end.
/// Its parents can be entered by everybody: started by root, PostgreSQL runs as another user.
/// </summary>
public sealed class DataFolder : IAsyncDisposable
{
    private const UnixFileMode ForAll = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    public DataFolder()
    {
        Root = Path.Combine(Path.GetTempPath(), $"platform-e2e-{Guid.NewGuid():n}");
        Directory.CreateDirectory(Root);
        File.SetUnixFileMode(Root, ForAll);
        Data = Path.Combine(Root, "data");
    }

    /// <summary>For whatever the test needs beside.</summary>
    public string Root { get; }

    public string Data { get; }

    /// <summary>A file beside the data folder.</summary>
    public string Write(string name, string text)
    {
        var file = Path.Combine(Root, name);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, text);
        return file;
    }

    public Task<Finished> Run(params IEnumerable<string> arguments) => PlatformProcess.Run([.. arguments, "--data", Data]);

    public PlatformProcess Start(params IEnumerable<string> arguments) => PlatformProcess.Start([.. arguments, "--data", Data]);

    public async ValueTask DisposeAsync()
    {
        await Run("db", "stop");
        Directory.Delete(Root, recursive: true);
    }
}
