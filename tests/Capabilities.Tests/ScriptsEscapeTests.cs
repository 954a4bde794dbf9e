using System.Collections.Concurrent;
using System.Text.Json;
using Platform.Capabilities.Scripts;
using Platform.Domain.Daemons;
using Platform.SandboxHost;

namespace Platform.Capabilities.Tests.Scripts;

/// <summary>One run of the whole table under each tier, by a server that is root and by one that is not.</summary>
public sealed class ScriptsEscapeRuns
{
    private readonly ConcurrentDictionary<string, Task<Findings>> runs = [];

    internal sealed record Findings(
        IReadOnlyDictionary<string, HostedOutcome> Outcomes, string Secret, int ExitCode, string Errors, IReadOnlyList<string> Canary, string SecretFile, UnixFileMode SecretMode,
        bool AnybodyConnected, IReadOnlyList<string> Jobs, IReadOnlyList<string> Left);

    /// <returns>Null where this user cannot start such a server.</returns>
    internal async Task<Findings?> Of(string mode) =>
        mode.EndsWith("nobody", StringComparison.Ordinal) && !ScriptsHost.CanBeNobody ? null : await runs.GetOrAdd(mode, Run);

    private static async Task<Findings> Run(string mode)
    {
        using var host = new ScriptsHost(Enum.Parse<SandboxTier>(mode.Split(' ')[0]), mode.EndsWith("nobody", StringComparison.Ordinal));
        var input = JsonDocument.Parse("{}").RootElement;
        var (outcomes, exitCode, errors) = await host.RunAll(ScriptsAttempts.All
            .Where(attempt => ScriptsTests.Installed(attempt.Runtime))
            .Select(attempt => (attempt.Name, new ScriptJob(attempt.Runtime, attempt.Script, host.Surroundings, input, attempt.Limits))));
        return new Findings(
            outcomes, host.Secret, exitCode, errors,
            [.. Directory.EnumerateFileSystemEntries(host.Canary).Select(Path.GetFileName).Order()!],
            File.ReadAllText(Path.Combine(host.Canary, "secret")), File.GetUnixFileMode(Path.Combine(host.Canary, "secret")),
            host.AnybodyConnected, [.. Directory.EnumerateFileSystemEntries(host.Jobs)], [.. ScriptsHost.ProcessesWith("sleep 4242"), .. ScriptsHost.ProcessesWith(host.Jobs)]);
    }
}

public sealed class A_script_that_tries_to_get_out(ScriptsEscapeRuns runs) : IClassFixture<ScriptsEscapeRuns>
{
    private static readonly string[] AllModes = ["Bubblewrap, server as it is", "Landlock, server as it is", "Bubblewrap, server as nobody", "Landlock, server as nobody"];

    public static TheoryData<string> Modes => [.. AllModes];

    public static TheoryData<string, string> Attempts
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var mode in AllModes) { foreach (var attempt in ScriptsAttempts.All) { data.Add(mode, attempt.Name); } }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Attempts))]
    public async Task does_not_succeed(string mode, string name)
    {
        var attempt = ScriptsAttempts.All.Single(attempt => attempt.Name == name);
        Assert.SkipUnless(ScriptsTests.Installed(attempt.Runtime), $"{attempt.Runtime} is not installed under /usr.");
        var findings = await Found(mode);

        Assert.True(findings.Outcomes.TryGetValue(name, out var answer), $"The server answered nothing: {findings.Errors}");
        Assert.Null(answer.Refusal);
        var outcome = answer.Outcome!;
        var said = outcome.Result.GetRawText() + outcome.StandardError;

        // The total of a folder is looked at, the last time when the script has ended: what it says by then counts for nothing, the run fails by the limit.
        if (!(name is ("fill the folder" or "fill /tmp") && outcome.LimitHit == ScriptLimitHit.FileSize)) { Assert.DoesNotContain("ESCAPED", said); }
        Assert.DoesNotContain(findings.Secret, said);
        Assert.DoesNotContain("\u001b", outcome.StandardError);
        if (outcome.Result.ValueKind == JsonValueKind.String) { Assert.DoesNotContain("\u001b", outcome.Result.GetString()); }

        // Without namespaces and with the server's uid the kernel counts all scripts' tasks together: beside a fork bomb another script may not even begin.
        if (mode == AllModes[3] && outcome.ExitCode != 0 && outcome.StandardError.Contains("Cannot fork", StringComparison.Ordinal)) { return; }

        // Where no cgroup holds the sum, a process may reach its own RLIMIT_DATA between two looks at it: then it is the kernel that refused.
        if (name == "memory bomb" && outcome.ExitCode != 0 && outcome.StandardError.Contains("MemoryError", StringComparison.Ordinal)) { return; }

        if (attempt.Hit is { } hit) { Assert.Equal(hit, outcome.LimitHit); }
        if (name.StartsWith("call: ", StringComparison.Ordinal) && name != "call: ports") { Assert.Contains("refused", said); }
    }

    [Theory]
    [MemberData(nameof(Modes))]
    public async Task leaves_no_trace(string mode)
    {
        var findings = await Found(mode);

        Assert.Equal(0, findings.ExitCode);
        Assert.Equal(["secret"], findings.Canary);
        Assert.Equal(findings.Secret, findings.SecretFile);
        Assert.Equal((UnixFileMode)0x1b6, findings.SecretMode);
        Assert.False(findings.AnybodyConnected);
        Assert.Empty(findings.Jobs);
        Assert.Empty(findings.Left);
        string[] marks = ["/tmp/platform-escape", "/dev/shm/platform-escape", "/var/tmp/platform-escape", "/run/platform-escape", "/etc/platform-escape", "/etc/cron.d/platform-escape", "/usr/bin/platform-escape"];
        Assert.All(marks, mark => Assert.False(Path.Exists(mark), mark));
    }

    private async Task<ScriptsEscapeRuns.Findings> Found(string mode)
    {
        var findings = await runs.Of(mode.Replace(',', ' ').Replace("  ", " "));
        Assert.SkipUnless(findings is not null, "Only root can start a server as nobody.");
        return findings;
    }
}
