namespace Platform.EndToEnd.Tests;

/// <summary>The single file that `dotnet publish` makes, as somebody gets it who has no .NET. It is named by PLATFORM_BINARY; without it these tests are skipped.</summary>
public sealed class The_published_file : IAsyncLifetime
{
    private readonly DataFolder place = new();

    private string Binary => Path.Combine(place.Root, "platform");

    public ValueTask InitializeAsync()
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("PLATFORM_BINARY") is { Length: > 0 }, "PLATFORM_BINARY names no published file; .ci/run publishes one.");

        // Alone in a folder: what lay beside it is not there.
        File.Copy(PlatformProcess.Binary, Binary);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        if (File.Exists(Binary)) { await place.DisposeAsync(); }
        else { Directory.Delete(place.Root); }
    }

    [Fact]
    public async Task Sorts_a_folder_and_brings_it_back_byte_for_byte()
    {
        var inbox = Path.Combine(place.Root, "inbox");
        await Shell($"cp -a '{PlatformProcess.Root}/examples/sort-folder/inbox' '{inbox}' && cp -a '{inbox}' '{inbox}.before'");
        var run = await Platform("run", Example("sort-folder"), "--input", $"folder={inbox}", "--json");
        Assert.True(run.Code == 0, run.ToString());
        Assert.Equal(21, (int)run.Json["outputs"]!["files"]!);
        var undo = await Platform("undo", "last", "--yes");
        Assert.True(undo.Code == 0, undo.ToString());
        var difference = await Shell($"diff -r '{inbox}' '{inbox}.before'");
        Assert.True(difference.Code == 0, difference.ToString());
    }

    [Fact]
    public async Task Runs_scripts_in_the_sandbox_that_it_starts_from_itself()
    {
        var run = await Platform("run", Example("hello"), "--input", "who=file", "--json");
        Assert.True(run.Code == 0, run.ToString());
        Assert.Equal("Hello, file!", (string?)run.Json["outputs"]!["greeting"]);
        var doctor = await Platform("doctor", "--json");
        Assert.True(doctor.Code == 0, doctor.ToString());
        Assert.Contains(doctor.JsonLines, line => (string?)line["area"] == "sandbox" && (string?)line["name"] == "scripts" && (string?)line["state"] == "works");
    }

    /// <summary>As nobody, whose home cannot be written, without .NET, ICU and time zones on the machine.</summary>
    [Fact]
    public async Task Needs_nothing_of_the_machine_and_no_rights()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root can become nobody.");
        Assert.SkipUnless(File.Exists("/usr/bin/bwrap"), "Taking things away from the machine wants bubblewrap.");
        await Shell($"mkdir '{place.Data}' && chown 65534:65534 '{place.Data}'");
        var bare = $"bwrap --bind / / --dev-bind /dev /dev --proc /proc --tmpfs /usr/share/zoneinfo --tmpfs /usr/share/dotnet --tmpfs /usr/share/icu setpriv --reuid=65534 --regid=65534 --clear-groups env -i PATH=/usr/bin:/bin HOME=/proc TZ=Europe/Berlin '{Binary}'";
        var run = await Shell($"{bare} run '{Example("hello")}' --data '{place.Data}' --json");
        Assert.True(run.Code == 0, run.ToString());
        Assert.Equal("completed", (string?)run.Json["status"]);
        var runs = await Shell($"{bare} runs --data '{place.Data}'");
        Assert.True(runs.Code == 0, runs.ToString());
        Assert.Contains("Hello", runs.Out, StringComparison.Ordinal);
    }

    private static string Example(string name) => Path.Combine(PlatformProcess.Root, "examples", name, "daemon.yaml");

    private async Task<Finished> Platform(params IEnumerable<string> arguments)
    {
        await using var process = PlatformProcess.Start(Binary, [.. arguments, "--data", place.Data]);
        return await process.End();
    }

    private static async Task<Finished> Shell(string line)
    {
        await using var shell = PlatformProcess.Start("/bin/sh", ["-c", line]);
        return await shell.End();
    }
}
