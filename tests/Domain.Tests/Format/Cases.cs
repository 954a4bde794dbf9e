namespace Platform.Domain.Tests.Format;

/// <summary>The text files beside the tests.</summary>
internal static class Cases
{
    private static string Folder => Path.Combine(AppContext.BaseDirectory, "Format", "cases");

    public static string Read(string name) => File.ReadAllText(Path.Combine(Folder, name));

    public static string Example(string name, string file) => File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "examples", name, file));

    public static string Document(string name) => File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "docs", name));

    public static IEnumerable<string> Named(string folder, string pattern) =>
        Directory.EnumerateFiles(Path.Combine(Folder, folder), pattern).Select(path => Path.GetRelativePath(Folder, path)).Order(StringComparer.Ordinal);
}
