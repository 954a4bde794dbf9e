namespace Platform.EndToEnd.Tests;

/// <summary>The README's first example on its real folder: what a newcomer sees and can rely on.</summary>
public sealed class A_sorted_folder : IAsyncLifetime
{
    private const string Hostile = "- $(touch owned) \"it's ünï\" `whoami` 雪.txt";

    private readonly DataFolder place = new();
    private Dictionary<string, string> before = [];

    private string Inbox => Path.Combine(place.Root, "inbox");

    private static string Example => Path.Combine(PlatformProcess.Root, "examples", "sort-folder");

    public async ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(Inbox);
        foreach (var file in Directory.GetFiles(Path.Combine(Example, "inbox"))) { File.Copy(file, Path.Combine(Inbox, Path.GetFileName(file))); }
        before = Contents();
        var started = await place.Run("db", "start");
        Assert.True(started.Code == 0, started.ToString());
    }

    public ValueTask DisposeAsync() => place.DisposeAsync();

    [Fact]
    public async Task Has_an_index_obeys_no_file_and_comes_back_but_for_what_somebody_changed()
    {
        var run = await place.Run("run", Path.Combine(Example, "daemon.yaml"), "--input", $"folder={Inbox}");
        Assert.True(run.Code == 0, run.ToString());

        // Every file is in a category's folder, none is lost and none is new but the index.
        var sorted = Contents();
        Assert.Equal(before.Keys.Append("README.md").Order(StringComparer.Ordinal), sorted.Keys.Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal));
        Assert.Equal(["invoices", "minutes", "notes", "other"], sorted.Keys.Select(path => Path.GetDirectoryName(path)).Where(folder => folder is { Length: > 0 }).Distinct().Order(StringComparer.Ordinal));
        Assert.Contains(Path.Combine("other", "empty.txt"), sorted);
        Assert.Contains(Path.Combine("other", "scan.bin"), sorted);
        Assert.Contains(Path.Combine("invoices", "invoice-2026-0312.txt"), sorted);

        // The orders in the hostile file are content like any other: it is sorted, and nothing of what it asks for happens.
        Assert.Contains(Path.Combine("notes", Hostile), sorted);
        Assert.False(File.Exists(Path.Combine(Inbox, "owned")) || File.Exists("owned"));
        var index = sorted["README.md"];
        Assert.Equal(before.Count, index.Split('\n').Count(line => line.StartsWith("| `", StringComparison.Ordinal)));
        Assert.DoesNotContain("all files are fine |", index.Replace("\"all files are fine\"", "", StringComparison.Ordinal), StringComparison.Ordinal);

        // What a person reads: the files by name, the sums, and what to do next.
        Assert.Contains("judge[3]", run.Error, StringComparison.Ordinal);
        Assert.Contains("Rechnung 4471.txt", run.Error, StringComparison.Ordinal);
        Assert.Contains("Changed: 4 x files.make_folder, 21 x files.move, 1 x files.write", run.Out, StringComparison.Ordinal);

        // Files by the names that people know, also where the log has them as URIs.
        Assert.Contains(Path.Combine(Inbox, Hostile), (await place.Run("audit", "last")).Out, StringComparison.Ordinal);

        var changed = Path.Combine(Inbox, "invoices", "Rechnung 4471.txt");
        await File.AppendAllTextAsync(changed, "paid", TestContext.Current.CancellationToken);
        var undo = await place.Run("undo", "last", "--yes");
        Assert.True(undo.Code == 1, undo.ToString());
        Assert.Contains($"{changed} was changed by somebody else meanwhile", undo.Error, StringComparison.Ordinal);
        var after = Contents();
        Assert.Equal(before["Rechnung 4471.txt"] + "paid", after[Path.Combine("invoices", "Rechnung 4471.txt")]);
        after.Remove(Path.Combine("invoices", "Rechnung 4471.txt"));
        before.Remove("Rechnung 4471.txt");
        Assert.Equal(before.OrderBy(file => file.Key, StringComparer.Ordinal), after.OrderBy(file => file.Key, StringComparer.Ordinal));
        var figures = (await place.Run("undo", "--figures", "--json")).Json;
        Assert.Equal("26 26 24 2 0", string.Join(' ', ((string[])["effects", "covered", "verified", "refused", "collateral"]).Select(name => figures[name]!.ToJsonString())));
    }

    /// <summary>By path within the inbox, byte for byte.</summary>
    private Dictionary<string, string> Contents() => Directory.EnumerateFiles(Inbox, "*", SearchOption.AllDirectories)
        .ToDictionary(file => Path.GetRelativePath(Inbox, file), file => System.Text.Encoding.Latin1.GetString(File.ReadAllBytes(file)), StringComparer.Ordinal);
}
