using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Platform.EndToEnd.Tests;

/// <summary>A data folder, and beside it a working folder with the repository's examples and a <c>platform</c> on the path, as somebody has who tries the documentation.</summary>
public sealed partial class A_reader : IAsyncLifetime
{
    private readonly List<(IReadOnlyList<string> Command, string Help)> commands = [];

    public DataFolder Place { get; } = new();

    private string Desk => Path.Combine(Place.Root, "desk");

    public async ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(Path.Combine(Desk, "bin"));
        File.CreateSymbolicLink(Path.Combine(Desk, "bin", "platform"), PlatformProcess.Binary);
        Copy(Path.Combine(PlatformProcess.Root, "examples"), Path.Combine(Desk, "examples"));
        await File.WriteAllTextAsync(Path.Combine(Desk, "inputs.json"), """{ "who": "Ada" }""");
        var started = await Shell("platform db start");
        Assert.True(started.Code == 0, started.ToString());
    }

    /// <summary>A line as it is written, in a shell.</summary>
    public async Task<Finished> Shell(string line)
    {
        await using var shell = PlatformProcess.Start(
            "/bin/sh",
            ["-c", line],
            new Dictionary<string, string?> { ["PATH"] = $"{Path.Combine(Desk, "bin")}:{Environment.GetEnvironmentVariable("PATH")}", ["PLATFORM_DATA"] = Place.Data, ["HOME"] = Desk },
            Desk);
        return await shell.End();
    }

    /// <summary>Every command, those that hold others before them, with its help.</summary>
    public async Task<IReadOnlyList<(IReadOnlyList<string> Command, string Help)>> Commands()
    {
        if (commands.Count == 0) { await Read([]); }

        return commands;

        async Task Read(IReadOnlyList<string> path)
        {
            var answer = await Shell($"platform {string.Join(' ', path)} --help");
            Assert.True(answer.Code == 0, answer.ToString());
            commands.Add((path, string.Join('\n', answer.Out.Trim().Split('\n').Select(line => line.TrimEnd()))));
            foreach (var inner in Section(answer.Out, "Commands:")) { await Read([.. path, inner.Split([' ', ','], 2)[0]]); }
        }
    }

    public static List<string> Section(string help, string title) =>
        [.. help.Split('\n').SkipWhile(line => line != title).Skip(1).TakeWhile(line => line.StartsWith("  ", StringComparison.Ordinal)).Select(line => line.Trim()).Where(line => line.Length > 0)];

    public ValueTask DisposeAsync() => Place.DisposeAsync();

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(from)) { File.Copy(file, Path.Combine(to, Path.GetFileName(file))); }
        foreach (var folder in Directory.GetDirectories(from)) { Copy(folder, Path.Combine(to, Path.GetFileName(folder))); }
    }
}

/// <summary>The documentation is run: what it shows is what the program says, and what it tells people to type works.</summary>
public sealed partial class The_documentation(A_reader reader) : IClassFixture<A_reader>
{
    private const string FromSource = "dotnet run -c Release --project src/SelfHost -- ";

    private static string Read(string file) => File.ReadAllText(Path.Combine(PlatformProcess.Root, file));

    [GeneratedRegex("```text\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Shown { get; }

    [GeneratedRegex("```(?:sh)?\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Typed { get; }

    [Fact]
    public async Task Of_the_command_line_shows_the_help_of_every_command_word_for_word()
    {
        var shown = Shown.Matches(Read("docs/cli.md")).Select(match => match.Groups[1].Value.Trim()).ToHashSet(StringComparer.Ordinal);
        foreach (var (command, help) in await reader.Commands())
        {
            Assert.True(shown.Remove(help), $"docs/cli.md does not show what `platform {string.Join(' ', command)} --help` says:\n```text\n{help}\n```");
        }

        Assert.Empty(shown);
    }

    [Fact]
    public async Task Of_the_command_line_has_examples_that_work()
    {
        var key = (await reader.Shell("platform audit key")).Out.Trim();
        foreach (var (command, help) in await reader.Commands())
        {
            foreach (var example in A_reader.Section(help, "Examples:"))
            {
                var answer = await reader.Shell(example.Replace("KEY", key, StringComparison.Ordinal));

                // What there is has ended before it can be cancelled.
                Assert.True(answer.Code == (command is ["cancel"] ? 1 : 0), $"{example}: {answer}");
            }
        }
    }

    [Theory]
    [InlineData("README.md")]
    [InlineData("examples/hello/README.md")]
    [InlineData("examples/sort-folder/README.md")]
    public async Task Of_the_repository_has_examples_that_work(string file)
    {
        var lines = Typed.Matches(Read(file)).SelectMany(match => match.Groups[1].Value.Split('\n', StringSplitOptions.RemoveEmptyEntries)).ToList();
        Assert.NotEmpty(lines);
        foreach (var line in lines)
        {
            // What builds is run by .ci/run, word for word; here the built program is.
            if (line.StartsWith("dotnet test ", StringComparison.Ordinal) || line.StartsWith("dotnet publish ", StringComparison.Ordinal))
            {
                Assert.Contains(line.Split("-o ")[0].Trim(), Read(".ci/run"), StringComparison.Ordinal);
                continue;
            }

            var typed = line.Replace(FromSource, "platform ", StringComparison.Ordinal).Replace(" RUN", " last", StringComparison.Ordinal);
            var answer = await reader.Shell(typed.StartsWith("platform undo", StringComparison.Ordinal) ? $"{typed} --yes" : typed);
            Assert.True(answer.Code == 0, $"{line}: {answer}");
        }
    }

    /// <summary>Of every command that answers JSON, with what the reference says of it.</summary>
    [Fact]
    public async Task Of_the_json_names_every_member()
    {
        var reference = Read("docs/cli.md");
        await reader.Shell("platform run examples/hello");
        foreach (var command in (string[])["check examples/hello", "runs", "show last", "audit last", "audit key", "audit export log.jsonl", "audit verify", "replay last", "undo last --dry-run", "undo last --yes", "undo --figures", "events", "db status", "db start", "doctor", "version"])
        {
            var answer = await reader.Shell($"platform {command} --json");
            Assert.True(answer.Code == 0, $"{command}: {answer}");
            var values = answer.Out.StartsWith("{\n", StringComparison.Ordinal) ? [answer.Json] : answer.JsonLines;
            foreach (var name in values.SelectMany(Members).Distinct(StringComparer.Ordinal)) { Assert.True(reference.Contains($"`{name}`", StringComparison.Ordinal), $"docs/cli.md does not name '{name}' of `platform {command} --json`."); }
        }
    }

    // What is in "data" and "outputs" is the daemon's and the event's own.
    private static IEnumerable<string> Members(JsonNode? value) => value switch
    {
        JsonObject members => members.SelectMany(member => member.Key is "data" or "outputs" ? [member.Key] : Members(member.Value).Prepend(member.Key)),
        JsonArray items => items.SelectMany(Members),
        _ => [],
    };

    [Fact]
    public async Task Of_the_exit_codes_is_the_programs_own()
    {
        var told = Read("docs/cli.md").Split('\n').Where(line => line.StartsWith("| ", StringComparison.Ordinal) && char.IsAsciiDigit(line[2])).Select(line => string.Join("  ", line.Split('|', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)));
        var said = A_reader.Section((await reader.Shell("platform --help")).Out, "Exit codes:").Select(line => string.Join("  ", line.Split(' ', 2, StringSplitOptions.TrimEntries)));
        Assert.Equal(said, told);
    }
}
