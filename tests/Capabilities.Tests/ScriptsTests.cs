using System.Text.Json;
using Platform.Capabilities.Scripts;
using Platform.Domain.Daemons;

namespace Platform.Capabilities.Tests.Scripts;

public sealed class A_script_under_bubblewrap() : ScriptsTests(SandboxTier.Bubblewrap);

public sealed class A_script_under_landlock() : ScriptsTests(SandboxTier.Landlock);

/// <summary>What both tiers owe to a script and to its server.</summary>
public abstract class ScriptsTests(SandboxTier tier) : IAsyncDisposable
{
    /// <summary>A deadline, not an expectation: a machine under load gets this long.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private static readonly ScriptLimits Limits = new(TimeSpan.FromSeconds(20), Patience, 256L << 20, 32, 4L << 20, 64L << 10);

    private readonly string jobs = Path.Combine(Path.GetTempPath(), $"platform-test-jobs-{Guid.NewGuid():n}");
    private ScriptSandbox? sandbox;

    private ScriptSandbox Sandbox => sandbox ??= new ScriptSandbox(Options());

    public ValueTask DisposeAsync()
    {
        sandbox?.Dispose();
        if (Directory.Exists(jobs)) { Directory.Delete(jobs, recursive: true); }
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }

    internal static bool Installed(string runtime) =>
        File.Exists("/usr/bin/" + (runtime == "python" ? "python3" : runtime)) || File.Exists("/usr/local/bin/" + (runtime == "python" ? "python3" : runtime));

    [Theory]
    [InlineData("sh", "printf '{\"said\":\"%s\",\"input\":%s}' \"$GREETING\" \"$(cat $DAEMON_INPUT)\"")]
    [InlineData("bash", "declare -A a=([x]=$GREETING); printf '{\"said\":\"%s\",\"input\":%s}' \"${a[x]}\" \"$(<$DAEMON_INPUT)\"")]
    [InlineData("python", "import json, os\nprint(json.dumps({'said': os.environ['GREETING'], 'input': json.load(open(os.environ['DAEMON_INPUT']))}))")]
    [InlineData("node", "console.log(JSON.stringify({said: process.env.GREETING, input: JSON.parse(require('fs').readFileSync(process.env.DAEMON_INPUT))}))")]
    public async Task reads_its_values_and_answers_json(string runtime, string script)
    {
        Assert.SkipUnless(Installed(runtime), $"{runtime} is not installed under /usr.");
        var outcome = await Run(runtime, script, [new("GREETING", "Grüße, 世界 🎉 $(id) `id`")], """{"n":[1,2,{"ü":null}]}""");

        Assert.Equal((0, ScriptLimitHit.None), (outcome.ExitCode, outcome.LimitHit));
        Assert.Equal("Grüße, 世界 🎉 $(id) `id`", outcome.Result.GetProperty("said").GetString());
        Assert.Equal(2, outcome.Result.GetProperty("input").GetProperty("n")[1].GetInt32());
        Assert.Equal(tier == SandboxTier.Bubblewrap ? "bubblewrap" : "landlock", outcome.Tier);
    }

    [Fact]
    public async Task prefers_the_result_file_to_its_output()
    {
        var outcome = await Run("sh", "echo chatter; echo '{\"kept\":true}' > \"$DAEMON_OUTPUT\"; echo noted >&2; echo there > /dev/stderr || true; exit 3");

        Assert.Equal(3, outcome.ExitCode);
        Assert.True(outcome.Result.GetProperty("kept").GetBoolean());
        Assert.StartsWith("noted\n", outcome.StandardError, StringComparison.Ordinal);
    }

    [Fact]
    public async Task answers_text_without_its_last_line_end()
    {
        Assert.Equal("one\ntwo", (await Run("sh", "printf 'one\\ntwo\\n'")).Result.GetString());
        Assert.Equal("12", (await Run("sh", "echo 12")).Result.GetString());
        Assert.Equal(JsonValueKind.Array, (await Run("sh", "echo '[1]'")).Result.ValueKind);
    }

    [Fact]
    public async Task is_told_when_its_result_is_not_json()
    {
        var outcome = await Run("sh", "echo '{oops' > \"$DAEMON_OUTPUT\"");

        Assert.NotEqual(0, outcome.ExitCode);
        Assert.Contains("is not JSON", outcome.StandardError);
    }

    [Fact]
    public async Task answers_bytes_as_valid_text_with_controls_escaped()
    {
        var outcome = await Run("sh", "printf 'a\\033[31m\\377\\000z\\342\\200\\256'; printf '\\007\\r' >&2");

        Assert.Equal("a\\u001b[31m\ufffd\\u0000z\\u202e", outcome.Result.GetString());
        Assert.Equal("\\u0007\\u000d", outcome.StandardError);
    }

    [Fact]
    public async Task that_is_killed_says_by_which_signal() => Assert.Equal(128 + 11, (await Run("sh", "sh -c 'kill -SEGV $$'")).ExitCode);

    [Fact]
    public async Task ends_a_pipeline_by_a_broken_pipe() => Assert.Equal("y", (await Run("sh", "yes | head -n 1")).Result.GetString());

    [Fact]
    public async Task that_writes_a_file_past_its_limit_is_ended_for_it()
    {
        var outcome = await Run("sh", "exec head -c 100000000 /dev/zero > big");

        Assert.Equal(ScriptLimitHit.FileSize, outcome.LimitHit);
    }

    [Fact]
    public async Task reports_what_it_used()
    {
        Assert.SkipUnless(Installed("python"), "python3 is not installed under /usr.");
        var outcome = await Run("python", "import time\nx = b'x' * (50 << 20)\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass");

        Assert.True(outcome.CpuTime >= TimeSpan.FromSeconds(0.25), $"{outcome.CpuTime}");
        Assert.True(outcome.PeakMemoryBytes >= 40L << 20, $"{outcome.PeakMemoryBytes}");
        Assert.True(outcome.Elapsed >= outcome.CpuTime);
    }

    [Fact]
    public async Task runs_beside_nineteen_others_without_mixing()
    {
        var outcomes = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => Run("sh", "echo $N > mine; sleep 0.1; cat mine", [new("N", $"{i}")])));

        Assert.Equal(Enumerable.Range(0, 20).Select(i => $"{i}"), outcomes.Select(outcome => outcome.Result.GetString()));
    }

    [Fact]
    public async Task is_cancelled_with_all_its_children()
    {
        using var cancel = new CancellationTokenSource();
        var mark = $"4{Random.Shared.Next(100_000, 999_999)}";
        var running = Sandbox.Run(Job("sh", $"sleep {mark} & sleep {mark} & wait", [], "{}"), cancel.Token);
        await Until(() => ScriptsHost.ProcessesWith($"sleep {mark}").Count >= 2, running);

        await cancel.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running.WaitAsync(Patience, TestContext.Current.CancellationToken));
        await Until(() => ScriptsHost.ProcessesWith(mark).Count == 0);
        Assert.True(!Directory.Exists(jobs) || !Directory.EnumerateFileSystemEntries(jobs).Any());
    }

    [Fact]
    public async Task dies_with_its_server_however_that_ends()
    {
        using var host = new ScriptsHost(tier, asNobody: false);
        var mark = $"5{Random.Shared.Next(100_000, 999_999)}";
        host.Send("long", Job("sh", $"(trap '' HUP TERM; sleep {mark}) & sleep {mark} & wait", [], "{}"));
        await Until(() => ScriptsHost.ProcessesWith($"sleep {mark}").Count >= 2);

        host.Server.Kill();

        await Until(() => ScriptsHost.ProcessesWith(mark).Count == 0);
        var next = new ScriptSandbox(Options() with { JobRoot = host.Jobs });
        await next.Probe(TestContext.Current.CancellationToken);
        next.Dispose();
        Assert.Empty(Directory.EnumerateFileSystemEntries(host.Jobs));
    }

    [Theory]
    [InlineData("LD_PRELOAD")]
    [InlineData("PATH")]
    [InlineData("BASH_ENV")]
    [InlineData("BASH_FUNC_ls%%")]
    [InlineData("NODE_OPTIONS")]
    [InlineData("PYTHONPATH")]
    [InlineData("PYTHONSTARTUP")]
    [InlineData("IFS")]
    [InlineData("ENV")]
    [InlineData("DAEMON_OUTPUT")]
    [InlineData("GLIBC_TUNABLES")]
    [InlineData("A=B")]
    [InlineData("1A")]
    [InlineData("")]
    [InlineData("A\n")]
    public async Task cannot_be_given_a_variable_that_changes_how_programs_load(string name) =>
        Assert.Equal("script.environment", (await Assert.ThrowsAsync<ScriptRefusedException>(() => Run("sh", "true", [new(name, "x")]))).Code);

    [Fact]
    public async Task past_a_size_is_refused()
    {
        async Task<string> Code(string script, KeyValuePair<string, string>[] environment, string input) =>
            (await Assert.ThrowsAsync<ScriptRefusedException>(() => Run("sh", script, environment, input))).Code;

        Assert.Equal("script.too-large", await Code(new string('#', ScriptSandbox.ScriptBytes + 1), [], "{}"));
        Assert.Equal("script.too-large", await Code("true", [new("A", new string('x', ScriptSandbox.EnvironmentValueBytes + 1))], "{}"));
        Assert.Equal("script.too-large", await Code("true", [], $"\"{new string('x', ScriptSandbox.InputBytes)}\""));
        Assert.Equal("script.too-large", await Code("true", [.. Enumerable.Range(0, 9).Select(i => new KeyValuePair<string, string>($"A{i}", new string('x', ScriptSandbox.EnvironmentValueBytes)))], "{}"));
        Assert.Equal("script.environment", await Code("true", [.. Enumerable.Range(0, ScriptSandbox.EnvironmentNames + 1).Select(i => new KeyValuePair<string, string>($"A{i}", ""))], "{}"));
    }

    [Fact]
    public async Task may_be_as_large_as_is_allowed()
    {
        var input = $"\"{new string('x', ScriptSandbox.InputBytes - 2)}\"";
        var value = new string('v', ScriptSandbox.EnvironmentValueBytes);
        var outcome = await Run("sh", "wc -c < $DAEMON_INPUT; printf %s \"$A\" | wc -c #".PadRight(ScriptSandbox.ScriptBytes, '#'), [new("A", value)], input);

        Assert.True(outcome is { ExitCode: 0, LimitHit: ScriptLimitHit.None }, $"{outcome}");
        Assert.Equal($"{ScriptSandbox.InputBytes}\n{value.Length}", outcome.Result.GetString());
    }

    [Fact]
    public async Task of_an_unknown_runtime_is_refused() =>
        Assert.Equal("script.unknown-runtime", (await Assert.ThrowsAsync<ScriptRefusedException>(() => Run("../bin/sh", "true"))).Code);

    [Fact]
    public async Task without_a_limit_is_refused() =>
        Assert.Equal("script.limits", (await Assert.ThrowsAsync<ScriptRefusedException>(
            () => Sandbox.Run(Job("sh", "true", [], "{}") with { Limits = Limits with { Processes = 0 } }, TestContext.Current.CancellationToken))).Code);

    [Fact]
    public async Task does_not_run_where_the_sandbox_cannot_be_entered()
    {
        using var broken = new ScriptSandbox(Options() with { Launcher = ["/bin/false"] });

        var refusal = await Assert.ThrowsAsync<SandboxUnavailableException>(() => broken.Run(Job("sh", "true", [], "{}"), TestContext.Current.CancellationToken));
        Assert.Contains("No script runs here without isolation", refusal.Message);
        Assert.Null((await broken.Probe(TestContext.Current.CancellationToken)).Tier);
    }

    [Fact]
    public async Task finds_its_layers_described()
    {
        var probe = await Sandbox.Probe(TestContext.Current.CancellationToken);

        Assert.Equal(tier, probe.Tier);
        Assert.Contains(probe.Layers, layer => layer is { Name: "seccomp", State: LayerState.Works });
        Assert.All(probe.Layers, layer => Assert.EndsWith(".", layer.Sentence, StringComparison.Ordinal));
    }

    private ScriptSandboxOptions Options() => new() { Tier = tier, JobRoot = jobs, Launcher = [Path.Combine(AppContext.BaseDirectory, "Platform.SandboxHost")] };

    private Task<ScriptOutcome> Run(string runtime, string script, KeyValuePair<string, string>[]? environment = null, string input = "{}") =>
        Sandbox.Run(Job(runtime, script, environment ?? [], input), TestContext.Current.CancellationToken);

    private static ScriptJob Job(string runtime, string script, KeyValuePair<string, string>[] environment, string input) =>
        new(runtime, script, new Dictionary<string, string>(environment), JsonDocument.Parse(input).RootElement, Limits);

    /// <summary>Waits for something that only the process table knows.</summary>
    private static async Task Until(Func<bool> condition, Task? failing = null)
    {
        using var deadline = new CancellationTokenSource(Patience);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (!condition())
        {
            if (failing is { IsCompleted: true }) { await failing; }
            Assert.True(await timer.WaitForNextTickAsync(deadline.Token));
        }
    }
}
