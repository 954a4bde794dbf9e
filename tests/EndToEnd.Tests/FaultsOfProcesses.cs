using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Signal = Platform.EndToEnd.Tests.PlatformProcess.Signal;

namespace Platform.EndToEnd.Tests;

/// <summary>A daemon whose effects show whether one was lost or done twice.</summary>
internal static class Ledger
{
    public const int Items = 12;

    /// <summary>Adds a line an item to one file, and writes and moves a file an item: what is done twice or never shows in the contents.</summary>
    public static string Daemon { get; } = $$"""
        spec: daemon/v1
        daemon:
          name: Ledger
          version: 1.0.0
          inputs:
            - { name: folder, type: file, required: true }
          vars:
            numbers: [{{string.Join(", ", Enumerable.Range(1, Items))}}]
          permissions:
            files: { write: ['${ inputs.folder }'] }
            capabilities: [files.append, files.write, files.move]
          stages:
            - id: journal
              foreach: vars.numbers
              as: n
              do:
                - tool: files.append
                  with: { path: '${ inputs.folder }/journal.txt', text: "line ${ n }\n" }
            - id: carry
              foreach: vars.numbers
              as: n
              parallelism: 3
              do:
                - tool: files.write
                  with: { path: '${ inputs.folder }/in-${ n }.txt', text: 'file ${ n }' }
                - tool: files.move
                  with: { from: '${ inputs.folder }/in-${ n }.txt', to: '${ inputs.folder }/out-${ n }.txt' }
          outputs:
            count: '${ size(vars.numbers) }'
        """;

    /// <summary>Each run ended well, did each effect once, is the same replayed, and the whole log is sound.</summary>
    public static async Task AssertAllDone(DataFolder place, int runs)
    {
        for (var run = 1; run <= runs; run++)
        {
            var folder = Folder(place, run);
            Assert.Equal(string.Concat(Enumerable.Range(1, Items).Select(n => $"line {n}\n")), await File.ReadAllTextAsync(Path.Combine(folder, "journal.txt"), TestContext.Current.CancellationToken));
            Assert.Equal(
                Enumerable.Range(1, Items).Select(n => $"out-{n}.txt").Append("journal.txt").Order(StringComparer.Ordinal),
                Directory.GetFiles(folder).Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal));
            for (var n = 1; n <= Items; n++) { Assert.Equal($"file {n}", await File.ReadAllTextAsync(Path.Combine(folder, $"out-{n}.txt"), TestContext.Current.CancellationToken)); }
        }

        var list = await place.Run("runs", "--json", "--limit", "200");
        Assert.Equal(runs, list.JsonLines.Count);
        Assert.All(list.JsonLines, summary => Assert.Equal("completed", Text(summary, "status")));
        foreach (var summary in list.JsonLines)
        {
            var id = Text(summary, "id", "runId");
            var replay = await place.Run("replay", id, "--json");
            Assert.True(replay.Code == 0 && (bool)replay.Json["same"]!, replay.ToString());
            var confirmed = await place.Run("events", "--run", id, "--type", "effect_confirmed", "--limit", "1000", "--json");
            Assert.Equal(3 * Items, confirmed.JsonLines.Count);
        }

        var verify = await place.Run("audit", "verify");
        Assert.True(verify.Code == 0, verify.ToString());
    }

    public static string Text(JsonNode node, params string[] names) => (string)names.Select(name => node[name]).First(value => value is not null)!;

    public static string Folder(DataFolder place, int run) => Directory.CreateDirectory(Path.Combine(place.Root, $"folder-{run}")).FullName;
}

/// <summary>Processes that are killed, again and again.</summary>
public sealed class Killed_processes
{
    private const int Kills = 50;

    private static Action<string> Print => line => TestContext.Current.TestOutputHelper?.WriteLine(line);

    [Fact]
    public async Task Fifty_kills_at_random_points_lose_no_effect_and_do_none_twice()
    {
        await using var place = new DataFolder();
        var daemon = place.Write("daemon.yaml", Ledger.Daemon);
        var seed = RandomNumberGenerator.GetInt32(int.MaxValue);
        Print($"seed {seed}");
#pragma warning disable CA5394 // Where to kill is no secret, and is to be repeated by its seed.
        var random = new Random(seed);
        var (kills, run) = (0, 0);
        var ready = new List<TimeSpan>();
        while (kills < Kills)
        {
            run++;
            var (folder, seen) = (Ledger.Folder(place, run), new HashSet<string>(StringComparer.Ordinal));
            for (var ended = false; !ended;)
            {
                var clock = Stopwatch.StartNew();
                await using var process = place.Start("run", daemon, "--input", $"folder={folder}", "--id", $"ledger-{run}", "--no-color");
                if (kills == Kills)
                {
                    var last = await process.End();
                    Assert.True(last.Code == 0, last.ToString());
                    break;
                }

                var after = random.Next(8);
                try
                {
                    // A stage's line that was not shown before is progress; what was done earlier is shown again at the start.
                    await process.Line(line => line.StartsWith("Run ", StringComparison.Ordinal) || line.StartsWith("This command id", StringComparison.Ordinal));
                    for (var fresh = 0; fresh < after;)
                    {
                        await process.Line(line => line.StartsWith("  ok ", StringComparison.Ordinal) && seen.Add(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]));
                        if (fresh++ == 0 && seen.Count > 1) { ready.Add(clock.Elapsed); }
                    }
                }
                catch (InvalidOperationException)
                {
                    var said = await process.End();
                    Assert.True(said.Code == 0, said.ToString());
                    ended = true;
                    continue;
                }

                // Somewhere between two lines.
                Thread.SpinWait(random.Next(200_000));
                process.Send(Signal.Kill);
                ended = (await process.End()).Code == 0;
                if (!ended) { kills++; }
            }
        }
#pragma warning restore CA5394
        Print(string.Create(CultureInfo.InvariantCulture, $"{kills} kills in {run} runs; from the start of the next process to its first new stage: median {Percentile(ready, 50)} ms, longest {Percentile(ready, 100)} ms"));
        await Ledger.AssertAllDone(place, run);
    }

    private static long Percentile(List<TimeSpan> all, int percent) =>
        all.Count == 0 ? 0 : (long)all.Order().ElementAt(Math.Min(all.Count - 1, all.Count * percent / 100)).TotalMilliseconds;
}

/// <summary>Processes that share an installation, are held up, or see the clock step.</summary>
public sealed class Faults_of_processes
{
    [Fact]
    public async Task Of_two_processes_on_one_folder_the_living_one_goes_on_with_what_the_killed_one_left()
    {
        await using var place = new DataFolder();
        var folder = Ledger.Folder(place, 1);
        var slow = place.Write("slow.yaml", """
            spec: daemon/v1
            daemon:
              name: Slow
              version: 1.0.0
              inputs:
                - { name: folder, type: file, required: true }
              permissions:
                files: { write: ['${ inputs.folder }'] }
              stages:
                - { id: first, script: echo one }
                - { id: second, script: sleep 2 }
                - { id: third, tool: files.append, with: { path: '${ inputs.folder }/done.txt', text: "once\n" } }
            """);
        var other = place.Write("other.yaml", """
            spec: daemon/v1
            daemon:
              name: Other
              version: 1.0.0
              stages:
                - { id: long, script: sleep 12 }
            """);

        // Both find an empty folder: one makes the database, the other waits for it.
        await using var killed = place.Start("run", slow, "--input", $"folder={folder}", "--no-color");
        await using var living = place.Start("run", other, "--no-color");
        var id = (await killed.Line(line => line.StartsWith("Run ", StringComparison.Ordinal))).Split(' ')[1];
        await killed.Line(line => line.Contains("ok ", StringComparison.Ordinal) && line.Contains("first", StringComparison.Ordinal));
        killed.Send(Signal.Kill);

        var end = await living.End();
        Assert.True(end.Code == 0, end.ToString());
        var shown = await place.Run("show", id, "--json");
        Assert.Equal("completed", Ledger.Text(shown.Json, "status"));
        Assert.Equal("once\n", await File.ReadAllTextAsync(Path.Combine(folder, "done.txt"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_process_that_is_stopped_for_a_while_and_goes_on_does_nothing_twice()
    {
        await using var place = new DataFolder();
        var daemon = place.Write("daemon.yaml", Ledger.Daemon);
        await using var stopped = place.Start("run", daemon, "--input", $"folder={Ledger.Folder(place, 1)}", "--no-color");
        await stopped.Line(line => line.StartsWith("  ok ", StringComparison.Ordinal));
        stopped.Send(Signal.Stop);

        // Meanwhile another one has all the time to take what is not its own.
        await using var other = place.Start("run", daemon, "--input", $"folder={Ledger.Folder(place, 2)}", "--no-color");
        var end = await other.End();
        Assert.True(end.Code == 0, end.ToString());

        stopped.Send(Signal.Continue);
        end = await stopped.End();
        Assert.True(end.Code == 0, end.ToString());
        await Ledger.AssertAllDone(place, 2);
    }

    [Fact]
    public async Task Timers_and_ownership_hold_when_the_wall_clock_steps_an_hour_both_ways()
    {
        const string library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
        Assert.SkipUnless(File.Exists(library), "Steps of the clock are made by libfaketime (Debian: apt install faketime).");
        await using var place = new DataFolder();
        var folder = Ledger.Folder(place, 1);
        var daemon = place.Write("waits.yaml", """
            spec: daemon/v1
            daemon:
              name: Waits
              version: 1.0.0
              inputs:
                - { name: folder, type: file, required: true }
              permissions:
                files: { write: ['${ inputs.folder }'] }
              stages:
                - { id: before, tool: files.append, with: { path: '${ inputs.folder }/journal.txt', text: "before\n" } }
                - id: wait
                  script: exit 1
                  retry: { attempts: 10, delay: 500ms, backoff: constant, on: [script_exit] }
                  on_error: continue
                - { id: after, tool: files.append, with: { path: '${ inputs.folder }/journal.txt', text: "after\n" } }
            """);
        var clock = place.Write("clock", "+0\n");

        // The database's processes inherit it: the whole node lives by this clock.
        var environment = new Dictionary<string, string?>
        {
            ["LD_PRELOAD"] = library,
            ["FAKETIME_TIMESTAMP_FILE"] = clock,
            ["FAKETIME_NO_CACHE"] = "1",
            ["DONT_FAKE_MONOTONIC"] = "1",
        };
        await using var run = PlatformProcess.Start(PlatformProcess.Binary, ["run", daemon, "--input", $"folder={folder}", "--no-color", "--data", place.Data], environment);
        var id = (await run.Line(line => line.StartsWith("Run ", StringComparison.Ordinal))).Split(' ')[1];
        await Again(2);
        foreach (var step in (string[])["+3600\n", "-3600\n"])
        {
            await File.WriteAllTextAsync(clock, step, TestContext.Current.CancellationToken);
            await Again(3);
        }

        var end = await run.End();
        Assert.True(end.Code == 0, end.ToString());
        Assert.Equal("before\nafter\n", await File.ReadAllTextAsync(Path.Combine(folder, "journal.txt"), TestContext.Current.CancellationToken));

        // The steps were seen: the log's own times go back.
        var times = (await place.Run("events", "--run", id, "--limit", "1000", "--json")).JsonLines.Select(line => DateTimeOffset.Parse(Ledger.Text(line, "at"), CultureInfo.InvariantCulture)).ToArray();
        Assert.Contains(times.Zip(times.Skip(1)), pair => pair.Second - pair.First > TimeSpan.FromMinutes(50));
        Assert.Contains(times.Zip(times.Skip(1)), pair => pair.Second - pair.First < TimeSpan.FromMinutes(-50));
        Assert.True((bool)(await place.Run("replay", id, "--json")).Json["same"]!);
        var verify = await place.Run("audit", "verify");
        Assert.True(verify.Code == 0, verify.ToString());

        async Task Again(int times)
        {
            for (var i = 0; i < times; i++) { await run.Line(line => line.StartsWith("  again ", StringComparison.Ordinal)); }
        }
    }
}
