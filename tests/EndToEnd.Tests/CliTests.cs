using System.Text.Json.Nodes;
using Signal = Platform.EndToEnd.Tests.PlatformProcess.Signal;

namespace Platform.EndToEnd.Tests;

/// <summary>One data folder with a finished run, for the tests that only look.</summary>
public sealed class A_finished_run : IAsyncLifetime
{
    public DataFolder Place { get; } = new();

    public string Hello { get; } = Path.Combine(PlatformProcess.Root, "examples", "hello", "daemon.yaml");

    /// <summary>What <c>run --json</c> printed.</summary>
    public JsonNode Story { get; private set; } = new JsonObject();

    public string Id => (string)Story["id"]!;

    public async ValueTask InitializeAsync()
    {
        // Kept running between the commands, which then need not start it.
        var started = await Place.Run("db", "start");
        Assert.True(started.Code == 0, started.ToString());
        Place.Write("two.yaml", """
            spec: daemon/v1
            daemon:
              name: Two
              version: 1.0.0
              inputs:
                - { name: count, type: number, default: 2 }
              stages:
                - id: double
                  set: { twice: '${ inputs.count * 2 }' }
                - id: again
                  set: { four: '${ twice * 2 }' }
              outputs:
                four: '${ four }'
            """);
        var run = await Place.Run("run", Two, "--json", "--input", "count=3");
        Assert.True(run.Code == 0, run.ToString());
        Story = run.Json;
    }

    public string Two => Path.Combine(Place.Root, "two.yaml");

    public ValueTask DisposeAsync() => Place.DisposeAsync();
}

/// <summary>The commands on a real installation, with the real binary.</summary>
public sealed class Cli_on_an_installation(A_finished_run done) : IClassFixture<A_finished_run>
{
    [Fact]
    public void A_run_tells_its_outputs_and_stages_as_json()
    {
        Assert.Equal("completed", (string?)done.Story["status"]);
        Assert.Equal("12", done.Story["outputs"]!["four"]!.ToJsonString());
        Assert.Equal(["double", "again"], done.Story["timeline"]!.AsArray().Select(stage => (string)stage!["path"]!));
    }

    [Fact]
    public async Task Every_command_that_looks_answers_json_that_parses_and_text_without_colours()
    {
        string[][] commands = [["runs"], ["show", done.Id], ["audit", done.Id], ["audit", "verify"], ["audit", "key"], ["replay", done.Id], ["events"], ["projections"], ["projections", "rebuild", "--verify"], ["doctor"], ["db", "status"], ["version"], ["check", done.Two]];
        foreach (var command in commands)
        {
            var json = await done.Place.Run([.. command, "--json"]);
            Assert.True(json.Code == 0, $"{string.Join(' ', command)}: {json}");
            try { Assert.NotNull(json.Json); }
            catch (System.Text.Json.JsonException) { Assert.NotEmpty(json.JsonLines); }

            var text = await done.Place.Run(command);
            Assert.True(text.Code == 0, $"{string.Join(' ', command)}: {text}");
            Assert.NotEmpty(text.Out);
            Assert.DoesNotContain('\e', text.Out + text.Error);
        }
    }

    [Fact]
    public async Task A_run_is_replayed_byte_for_byte_and_forked_from_a_stage()
    {
        Assert.True((bool)(await done.Place.Run("replay", done.Id, "--json")).Json["same"]!);
        var fork = await done.Place.Run("fork", done.Id, "--from", "again", "--json");
        Assert.True(fork.Code == 0, fork.ToString());
        Assert.Equal("12", fork.Json["outputs"]!["four"]!.ToJsonString());
        Assert.Equal(done.Id, (string?)fork.Json["forkedFrom"]);
    }

    [Fact]
    public async Task The_same_command_id_starts_no_second_run()
    {
        var first = await done.Place.Run("run", done.Two, "--id", "once", "--json");
        var second = await done.Place.Run("run", done.Two, "--id", "once", "--json");
        Assert.Equal((string?)first.Json["id"], (string?)second.Json["id"]);
        var other = await done.Place.Run("run", done.Two, "--id", "once", "--input", "count=9");
        Assert.True(other.Code == 2, other.ToString());
    }

    [Fact]
    public async Task An_undo_does_only_what_was_shown_and_does_not_guess_where_nobody_can_be_asked()
    {
        var file = Path.Combine(done.Place.Root, "note.txt");
        string Daemon(string name, string text) => done.Place.Write($"{name}.yaml", $$"""
            spec: daemon/v1
            daemon:
              name: {{name}}
              version: 1.0.0
              permissions: { files: { write: ['{{done.Place.Root}}'] } }
              stages:
                - id: note
                  tool: files.write
                  with: { path: '{{file}}', text: '{{text}}', overwrite: true }
            """);
        // The installation is shared with tests that undo as well: what counts is what these two runs add.
        string[] counted = ["effects", "covered", "verified", "collateral"];
        async Task<int[]> Figures()
        {
            var figures = (await done.Place.Run("undo", "--figures", "--json")).Json;
            return [.. counted.Select(name => (int)figures[name]!)];
        }

        var before = await Figures();
        var first = (string)(await done.Place.Run("run", Daemon("first", "one"), "--json")).Json["id"]!;
        var shown = await done.Place.Run("undo", first, "--dry-run", "--json");
        Assert.Equal("undo", (string?)shown.Json["plan"]![0]!["verdict"]);

        var second = (string)(await done.Place.Run("run", Daemon("second", "two"), "--json")).Json["id"]!;
        var changed = await done.Place.Run("undo", first, "--plan", (string)shown.Json["hash"]!);
        Assert.True(changed.Code == 2, changed.ToString());
        Assert.Contains("undo.plan-changed", changed.Error, StringComparison.Ordinal);
        Assert.Contains($"run {second}", changed.Error, StringComparison.Ordinal);

        var unasked = await done.Place.Run("undo", second);
        Assert.True(unasked.Code == 2, unasked.ToString());
        Assert.Contains("--dry-run", unasked.Error, StringComparison.Ordinal);
        Assert.Equal("two", await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));

        var again = await done.Place.Run("undo", second, "--dry-run", "--json");
        var undone = await done.Place.Run("undo", second, "--plan", (string)again.Json["hash"]!, "--json");
        Assert.True(undone.Code == 0, undone.ToString());
        Assert.Equal("1 1 0", $"{undone.Json["undone"]} {undone.Json["verified"]} {undone.Json["refused"]}");
        Assert.Equal("one", await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));

        Assert.Equal([2, 2, 1, 0], (await Figures()).Zip(before, (now, then) => now - then));
    }

    [Theory]
    [InlineData("show nonsense", "nonsense")]
    [InlineData("replay nonsense", "nonsense")]
    [InlineData("show 00000000-0000-0000-0000-000000000001", "no run")]
    [InlineData("audit 00000000-0000-0000-0000-000000000001", "no run")]
    [InlineData("cancel 00000000-0000-0000-0000-000000000001", "no run")]
    [InlineData("runs --status sleeping", "sleeping")]
    [InlineData("runs --limit 0", "--limit")]
    [InlineData("projections rebuild nothing", "nothing")]
    [InlineData("projections retry nothing", "nothing")]
    [InlineData("projections discard run_list 1", "position 1")]
    [InlineData("projections reset run_list 0", "rebuild")]
    [InlineData("projections parked --limit 0", "--limit")]
    [InlineData("messages dead --limit 0", "--limit")]
    [InlineData("messages requeue 00000000-0000-0000-0000-000000000001", "no dead letter")]
    [InlineData("messages discard nonsense", "nonsense")]
    [InlineData("runs --tenant a/b", "tenant")]
    [InlineData("run TWO --input count=many", "count")]
    [InlineData("run TWO --input count", "NAME=VALUE")]
    [InlineData("run TWO --input other=1", "other")]
    [InlineData("run TWO --inputs /nowhere.json", "/nowhere.json")]
    [InlineData("fork RUN --from nowhere", "nowhere")]
    [InlineData("runs --since yesterday", "yesterday")]
    [InlineData("events --type stage_flied", "stage_flied")]
    [InlineData("events --run 00000000-0000-0000-0000-000000000001", "`platform runs` lists them")]
    [InlineData("run TWO --approve everything", "everything")]
    public async Task What_the_caller_must_correct_is_named(string line, string named)
    {
        var answer = await done.Place.Run(line.Split(' ').Select(word => word switch { "TWO" => done.Two, "RUN" => done.Id, _ => word }));
        Assert.True(answer.Code == 2, answer.ToString());
        Assert.Contains(named, answer.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", answer.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_failed_run_answers_one_and_says_why()
    {
        var daemon = done.Place.Write("fails.yaml", """
            spec: daemon/v1
            daemon:
              name: Fails
              version: 1.0.0
              stages:
                - id: never
                  raise: { error: sorry, message: 'This cannot work.' }
            """);
        var run = await done.Place.Run("run", daemon);
        Assert.True(run.Code == 1, run.ToString());
        Assert.Contains("This cannot work.", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_projection_comes_out_the_same_when_it_is_built_anew()
    {
        var before = (await done.Place.Run("projections", "--json")).JsonLines;
        Assert.Equal(["run_list inline live"], before.Select(one => $"{one["name"]} {one["kind"]} {one["state"]}"));
        var rebuilt = await done.Place.Run("projections", "rebuild", "--json");
        Assert.True(rebuilt.Code == 0, rebuilt.ToString());
        Assert.All(rebuilt.JsonLines, one => Assert.Equal(0, (int)one["parked"]!));
        var verified = await done.Place.Run("projections", "rebuild", "--verify", "--json");
        Assert.True(verified.Code == 0, verified.ToString());
        Assert.All(verified.JsonLines, one => Assert.True((bool)one["same"]!));
        Assert.True((int)verified.JsonLines.Single(one => (string)one["name"]! == "run_list")["documents"]! >= 1);
    }

    [Fact]
    public async Task Readers_go_on_when_the_process_that_has_them_is_killed_or_stopped()
    {
        await using var killed = done.Place.Start("events", "--follow");
        await killed.Line(line => line.Contains("run_completed", StringComparison.Ordinal));
        killed.Send(Signal.Kill);
        await done.Place.Run("run", done.Two);
        Assert.Equal(0, (await done.Place.Run("projections", "rebuild", "--verify")).Code);

        // This one keeps its connection, and says nothing on it: the server ends that after a while.
        await using var stopped = done.Place.Start("events", "--follow");
        await stopped.Line(line => line.Contains("run_completed", StringComparison.Ordinal));
        stopped.Send(Signal.Stop);
        await done.Place.Run("run", done.Two);
        var verified = await done.Place.Run("projections", "rebuild", "--verify");
        Assert.True(verified.Code == 0, verified.ToString());
        stopped.Send(Signal.Continue);
        var third = await done.Place.Run("run", done.Two, "--json");
        await stopped.Line(line => line.Contains($"{(string)third.Json["id"]!} ", StringComparison.Ordinal) && line.Contains("run_completed", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_server_that_is_not_there_answers_75()
    {
        var answer = await PlatformProcess.Run("runs", "--postgres", "Host=/nowhere;Username=nobody;Database=none", "--data", done.Place.Data);
        Assert.True(answer.Code == 75, answer.ToString());
    }

    [Theory]
    [InlineData("last")]
    [InlineData("the end of its id")]
    public async Task A_run_is_found_by_what_a_person_has_at_hand(string named)
    {
        var newest = (string)(await done.Place.Run("run", done.Two, "--json")).Json["id"]!;
        var shown = await done.Place.Run("show", named == "last" ? named : newest[^12..], "--json");
        Assert.True(shown.Code == 0, shown.ToString());
        if (named != "last") { Assert.Equal(newest, (string?)shown.Json["id"]); }
    }

    [Fact]
    public async Task What_fits_several_runs_is_not_guessed()
    {
        await done.Place.Run("run", done.Two);
        var answer = await done.Place.Run("show", done.Id[..4]);
        Assert.True(answer.Code == 2, answer.ToString());
        Assert.Contains("run.ambiguous", answer.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_list_of_runs_is_filtered_paged_and_followed()
    {
        Assert.Empty((await done.Place.Run("runs", "--since", "2000-01-01", "--status", "timed_out", "--json")).Out);
        Assert.NotEmpty((await done.Place.Run("runs", "--since", "1h", "--json")).JsonLines);
        var empty = await done.Place.Run("runs", "--since", "2999-01-01");
        Assert.Contains("No run fits.", empty.Out, StringComparison.Ordinal);

        await using var following = done.Place.Start("runs", "--follow", "--limit", "1", "--json");
        await following.Line(line => line.StartsWith('{'));
        var run = await done.Place.Run("run", done.Two, "--json");
        var id = (string)run.Json["id"]!;
        await following.Line(line => line.Contains(id, StringComparison.Ordinal) && line.Contains("completed", StringComparison.Ordinal));
        following.Send(Signal.Interrupt);
        Assert.Equal(130, (await following.End()).Code);
    }

    [Fact]
    public async Task Every_stage_that_ends_has_a_line_and_an_item_has_its_own()
    {
        var daemon = done.Place.Write("items.yaml", """
            spec: daemon/v1
            daemon:
              name: 読書
              version: 1.0.0
              stages:
                - id: names
                  set: { list: [{ name: 雪国 }, { name: Rashōmon }] }
                - id: each
                  foreach: list
                  do:
                    - { id: say, emit: { event: read, data: '${ item.name }' } }
            """);
        var run = await done.Place.Run("run", daemon);
        Assert.True(run.Code == 0, run.ToString());
        var lines = run.Error.Split('\n').Where(line => line.StartsWith("  ok ", StringComparison.Ordinal)).Select(line => string.Join(' ', line.Split(' ', StringSplitOptions.RemoveEmptyEntries))).ToArray();
        Assert.Equal(["ok names set list", "ok each[0] 雪国", "ok each[1] Rashōmon", "ok each"], lines);
        var verbose = await done.Place.Run("run", daemon, "--verbose");
        Assert.Contains("each[1]/say", verbose.Error, StringComparison.Ordinal);

        // Two wide characters take four columns.
        var list = (await done.Place.Run("runs")).Out.Split('\n');
        int StatusOf(string name) => list.First(line => line.Contains($"  {name} ", StringComparison.Ordinal)).IndexOf("completed", StringComparison.Ordinal);
        Assert.Equal(StatusOf("Two"), StatusOf("読書") + 2);
    }

    [Fact]
    public async Task Times_tell_their_zone()
    {
        Assert.SkipUnless(File.Exists("/usr/share/zoneinfo/Asia/Tokyo"), "This machine knows no time zones.");
        await using var local = PlatformProcess.Start(PlatformProcess.Binary, ["show", done.Id, "--data", done.Place.Data], new Dictionary<string, string?> { ["TZ"] = "Asia/Tokyo" });
        Assert.Matches(@"started \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+09:00 by", (await local.End()).Out);
        await using var utc = PlatformProcess.Start(PlatformProcess.Binary, ["show", done.Id, "--utc", "--data", done.Place.Data], new Dictionary<string, string?> { ["TZ"] = "Asia/Tokyo" });
        Assert.Matches(@"started \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ by", (await utc.End()).Out);
    }

    [Fact]
    public async Task A_long_stage_shows_itself_and_Ctrl_C_ends_it_cleanly_and_says_how_to_go_on()
    {
        await using var run = done.Place.Start("run", Long());
        await run.Line(line => line.Contains("wait is under way", StringComparison.Ordinal));
        run.Send(Signal.Interrupt);
        var end = await run.End();
        Assert.True(end.Code == 130, end.ToString());
        Assert.Contains("Cancelling", end.Error, StringComparison.Ordinal);
        Assert.Contains("platform fork", end.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task On_a_terminal_a_long_stage_has_a_line_that_lives_and_there_are_colours()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/script"), "A terminal is made by script(1).");
        await using var terminal = PlatformProcess.Start(
            "/usr/bin/script", ["-qefc", $"'{PlatformProcess.Binary}' run '{Long()}' --data '{done.Place.Data}'", "/dev/null"], new Dictionary<string, string?> { ["TERM"] = "xterm" });
        await terminal.Line(line => line.Contains("\e[32mok ", StringComparison.Ordinal) && line.Contains("quick", StringComparison.Ordinal));

        // The line that lives has no end: what is typed is echoed into it, and Ctrl-C goes through the terminal.
        terminal.WriteInput("\u0003");
        var end = await terminal.End();
        Assert.True(end.Code == 130, end.ToString());
        Assert.Contains("Cancelled.", end.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task On_a_terminal_an_undo_asks_first_and_takes_only_yes()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/script"), "A terminal is made by script(1).");
        var file = Path.Combine(done.Place.Root, "asked.txt");
        var daemon = done.Place.Write("asked.yaml", $$"""
            spec: daemon/v1
            daemon:
              name: Asked
              version: 1.0.0
              permissions: { files: { write: ['{{done.Place.Root}}'] } }
              stages:
                - { id: note, tool: files.write, with: { path: '{{file}}', text: one } }
            """);
        var run = (string)(await done.Place.Run("run", daemon, "--json")).Json["id"]!;
        async Task<Finished> Undo(string answer)
        {
            await using var terminal = PlatformProcess.Start("/usr/bin/script", ["-qefc", $"'{PlatformProcess.Binary}' undo {run} --data '{done.Place.Data}'", "/dev/null"]);
            terminal.WriteInput(answer + "\n");
            return await terminal.End();
        }

        var no = await Undo("");
        Assert.True(no.Code == 1, no.ToString());
        Assert.Contains("Nothing was done.", no.Out, StringComparison.Ordinal);
        Assert.True(File.Exists(file));
        var yes = await Undo("y");
        Assert.True(yes.Code == 0, yes.ToString());
        Assert.False(File.Exists(file));
        var recorded = (await done.Place.Run("events", "--type", "undo_requested", "--json", "--limit", "1000")).JsonLines[^1];
        Assert.Matches("^[0-9a-f]{64}$", (string?)recorded["data"]!["PlanHash"]);
    }

    private string Long() => done.Place.Write("long.yaml", """
        spec: daemon/v1
        daemon:
          name: Long
          version: 1.0.0
          stages:
            - id: quick
              script: echo one
            - id: wait
              script: sleep 600
        """);
}
