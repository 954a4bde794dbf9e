using System.Text;
using System.Text.Json;
using Platform.Capabilities.Blobs;
using Platform.Capabilities.Files;
using Platform.Domain.Capabilities;

namespace Platform.Capabilities.Tests;

/// <summary>A granted folder, a store, and the process's death after a chosen step.</summary>
internal sealed class FileWorld : IDisposable
{
    private readonly string top = Directory.CreateTempSubdirectory("platform-files-").FullName;
    private int? dieAfter;
    private int steps;

    public FileWorld(bool useOpenAt2 = true)
    {
        Root = Path.Combine(top, "granted");
        Outside = Path.Combine(top, "outside");
        Directory.CreateDirectory(Root);
        Directory.CreateDirectory(Outside);
        Store = new ContentStore(Path.Combine(top, "store"));
        Registry = new CapabilityRegistry(FileCapabilities.Over(new FileSpace(Store, useOpenAt2, _ =>
        {
            if (++steps == dieAfter) { throw new ProcessDied(); }
        })));
        Grant = new Grant([], [Root], []);
    }

    public string Root { get; }

    public string Outside { get; }

    public ContentStore Store { get; }

    public CapabilityRegistry Registry { get; }

    public Grant Grant { get; }

    public string At(string name) => Path.Combine(Root, name);

    public CapabilityCall Call(string capability, string arguments) => new(capability, JsonElement.Parse(arguments), Grant, Guid.NewGuid().ToString());

    public ICapability Of(CapabilityCall call) => Registry.Find(call.Capability)!;

    public async Task<(EffectPlan Plan, EffectResult Result)> Do(CapabilityCall call)
    {
        var plan = await Of(call).Plan(call, CancellationToken.None);
        return (plan, await Of(call).Perform(call, plan, CancellationToken.None));
    }

    public async Task<CapabilityException> Refused(CapabilityCall call) => await Assert.ThrowsAsync<CapabilityException>(() => Do(call));

    public CapabilityCall InverseOf(EffectPlan plan) => new(plan.Inverse!.Capability, plan.Inverse.Arguments, Grant, Guid.NewGuid().ToString());

    /// <returns>False where there were not that many steps.</returns>
    public async Task<bool> DiesAfter(int step, Func<Task> work)
    {
        (steps, dieAfter) = (0, step);
        try
        {
            await work();
            return false;
        }
        catch (ProcessDied)
        {
            return true;
        }
        finally
        {
            dieAfter = null;
        }
    }

    /// <summary>Names, modes, times and bytes of everything; of folders only that they are there.</summary>
    public string Snapshot(string? folder = null) => string.Join('\n', Directory
        .EnumerateFileSystemEntries(folder ?? Root, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
        .Select(p => Directory.Exists(p) ? $"{p}/" : $"{p} {File.GetUnixFileMode(p)} {File.GetLastWriteTimeUtc(p):O} {Convert.ToHexString(File.ReadAllBytes(p))}"));

    public void Dispose() => Directory.Delete(top, recursive: true);

    private sealed class ProcessDied : Exception;
}

public class A_capability_on_files
{
    public static TheoryData<string, string> Effects => new()
    {
        { "files.write", """{ "path": "ROOT/new.txt", "text": "new" }""" },
        { "files.write", """{ "path": "ROOT/x/y/new.txt", "base64": "AAEC" }""" },
        { "files.write", """{ "path": "ROOT/a.txt", "text": "other", "overwrite": true }""" },
        { "files.append", """{ "path": "ROOT/a.txt", "text": " and more" }""" },
        { "files.append", """{ "path": "ROOT/log.txt", "text": "first" }""" },
        { "files.move", """{ "from": "ROOT/a.txt", "to": "ROOT/x/" }""" },
        { "files.move", """{ "from": "ROOT/a.txt", "to": "ROOT/b.txt", "overwrite": true }""" },
        { "files.move", """{ "from": "ROOT/a.txt", "to": "ROOT/same.txt", "overwrite": true }""" },
        { "files.delete", """{ "path": "ROOT/a.txt" }""" },
        { "files.make_folder", """{ "path": "ROOT/p/q" }""" },
    };

    private static FileWorld World()
    {
        var world = new FileWorld();
        foreach (var (name, text) in new[] { ("a.txt", "alpha"), ("b.txt", "beta"), ("same.txt", "alpha") })
        {
            File.WriteAllText(world.At(name), text);
            File.SetUnixFileMode(world.At(name), UnixFileMode.UserRead | UnixFileMode.UserWrite);
            File.SetLastWriteTimeUtc(world.At(name), new DateTime(2020, 1, 2, 3, 4, 5, DateTimeKind.Utc).AddTicks(1234567 + name.Length));
        }

        return world;
    }

    private static CapabilityCall Call(FileWorld world, string capability, string arguments) => world.Call(capability, arguments.Replace("ROOT", world.Root, StringComparison.Ordinal));

    [Theory, MemberData(nameof(Effects))]
    public async Task plans_without_a_change_does_what_it_planned_and_goes_back_byte_for_byte(string capability, string arguments)
    {
        using var world = World();
        var before = world.Snapshot();
        var call = Call(world, capability, arguments);
        var plan = await world.Of(call).Plan(call, CancellationToken.None);
        Assert.Equal(before, world.Snapshot());
        Assert.IsType<ReadBack.NotApplied>(await world.Of(call).ReadBack(call, plan, CancellationToken.None));

        var result = await world.Of(call).Perform(call, plan, CancellationToken.None);
        var after = world.Snapshot();
        Assert.NotEqual(before, after);
        Assert.All(plan.Touches.Zip(result.Touches), pair => Assert.True(pair.First.After is null || FileSpace.Same(pair.First.After, pair.Second.After!)));
        var found = Assert.IsType<ReadBack.Applied>(await world.Of(call).ReadBack(call, plan, CancellationToken.None));
        Assert.Equal(result.Result.GetRawText(), found.Result.Result.GetRawText());

        var (undo, _) = await world.Do(world.InverseOf(plan));
        Assert.Equal(before, world.Snapshot());
        var (redo, _) = await world.Do(world.InverseOf(undo));
        Assert.Equal(after, world.Snapshot());
        await world.Do(world.InverseOf(redo));
        Assert.Equal(before, world.Snapshot());
    }

    [Theory, MemberData(nameof(Effects))]
    public async Task survives_a_death_after_any_step_forward_and_back(string capability, string arguments)
    {
        var deaths = 0;
        for (var step = 1; ; step++)
        {
            using var world = World();
            var before = world.Snapshot();
            var call = Call(world, capability, arguments);
            var plan = await world.Of(call).Plan(call, CancellationToken.None);
            var died = await world.DiesAfter(step, () => world.Of(call).Perform(call, plan, CancellationToken.None));
            await Resolve(world, call, plan);

            var undo = world.InverseOf(plan);
            var undoPlan = await world.Of(undo).Plan(undo, CancellationToken.None);
            died |= await world.DiesAfter(step, () => world.Of(undo).Perform(undo, undoPlan, CancellationToken.None));
            await Resolve(world, undo, undoPlan);
            Assert.Equal(before, world.Snapshot());
            if (!died) { break; }
            deaths++;
        }

        Assert.True(deaths > 0);
    }

    private static async Task Resolve(FileWorld world, CapabilityCall call, EffectPlan plan)
    {
        var found = await world.Of(call).ReadBack(call, plan, CancellationToken.None);
        if (found is ReadBack.NotApplied) { await world.Of(call).Perform(call, plan, CancellationToken.None); }
        Assert.IsType<ReadBack.Applied>(await world.Of(call).ReadBack(call, plan, CancellationToken.None));
    }

    [Fact]
    public async Task refuses_to_go_back_over_what_somebody_else_wrote_and_names_the_file()
    {
        using var world = World();
        var (plan, _) = await world.Do(Call(world, "files.write", """{ "path": "ROOT/a.txt", "text": "ours", "overwrite": true }"""));
        await File.WriteAllTextAsync(world.At("a.txt"), "theirs", TestContext.Current.CancellationToken);
        var refusal = await world.Refused(world.InverseOf(plan));
        Assert.Equal("conflict", refusal.Type);
        Assert.Contains("a.txt", refusal.Message, StringComparison.Ordinal);
        Assert.Equal("theirs", await File.ReadAllTextAsync(world.At("a.txt"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task refuses_to_perform_what_no_longer_is_as_planned()
    {
        using var world = World();
        var call = Call(world, "files.delete", """{ "path": "ROOT/a.txt" }""");
        var plan = await world.Of(call).Plan(call, CancellationToken.None);
        await File.WriteAllTextAsync(world.At("a.txt"), "theirs", TestContext.Current.CancellationToken);
        Assert.Equal("conflict", (await Assert.ThrowsAsync<CapabilityException>(() => world.Of(call).Perform(call, plan, CancellationToken.None))).Type);
        Assert.IsType<ReadBack.Unclear>(await world.Of(call).ReadBack(call, plan, CancellationToken.None));
        Assert.True(File.Exists(world.At("a.txt")));
    }

    [Fact]
    public async Task leaves_a_folder_made_in_passing_that_somebody_else_uses()
    {
        using var world = World();
        var (plan, _) = await world.Do(Call(world, "files.move", """{ "from": "ROOT/a.txt", "to": "ROOT/x/a.txt" }"""));
        await File.WriteAllTextAsync(world.At("x/theirs.txt"), "theirs", TestContext.Current.CancellationToken);
        var (_, result) = await world.Do(world.InverseOf(plan));
        Assert.Contains("/x", result.Result.GetProperty("kept")[0].GetString(), StringComparison.Ordinal);
        Assert.True(File.Exists(world.At("a.txt")));
        Assert.True(File.Exists(world.At("x/theirs.txt")));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task undone_in_reverse_order_leaves_the_folder_as_it_was(int seed)
    {
        TestContext.Current.SendDiagnosticMessage($"seed {seed}");
        var random = new Random(seed);
        using var world = World();
        var before = world.Snapshot();
        var done = new Stack<EffectPlan>();
        for (var i = 0; i < 60; i++)
        {
            var files = Directory.GetFiles(world.Root, "*", SearchOption.AllDirectories);
            var some = files.Length == 0 ? world.At("a.txt") : files[random.Next(files.Length)];
            var fresh = world.At($"d{random.Next(4)}/f{random.Next(8)}.txt");
            var (capability, arguments) = random.Next(5) switch
            {
                0 => ("files.write", $$"""{ "path": "{{fresh}}", "text": "t{{i}}", "overwrite": true }"""),
                1 => ("files.append", $$"""{ "path": "{{some}}", "text": "t{{i}}" }"""),
                2 => ("files.move", $$"""{ "from": "{{some}}", "to": "{{fresh}}", "overwrite": true }"""),
                3 => ("files.delete", $$"""{ "path": "{{some}}" }"""),
                _ => ("files.make_folder", $$"""{ "path": "{{world.At($"e{random.Next(3)}/g")}}" }"""),
            };
            try { done.Push((await world.Do(world.Call(capability, arguments))).Plan); }
            catch (CapabilityException refused) when (refused.Type is "invalid" or "not_found") { }
        }

        Assert.True(done.Count > 30);
        foreach (var plan in done.Where(p => p.Inverse is not null)) { await world.Do(world.InverseOf(plan)); }
        Assert.Equal(before, world.Snapshot());
    }
}

public class A_path
{
    [Theory]
    [InlineData("../outside/x", "denied")]
    [InlineData("a/../../outside/x", "denied")]
    [InlineData("./x", "denied")]
    [InlineData("link/x", "denied")]
    [InlineData("link", "denied")]
    [InlineData("file-link", "denied")]
    [InlineData("dangling", "denied")]
    [InlineData("pipe", "denied")]
    [InlineData("plain/x", "denied")]
    [InlineData("two\\nlines", "invalid")]
    [InlineData("nul\\u0000", "invalid")]
    [InlineData("\\u001bescape", "invalid")]
    [InlineData("hard", "denied")]
    public async Task that_leads_elsewhere_is_refused(string name, string type)
    {
        foreach (var useOpenAt2 in new[] { true, false })
        {
            using var world = new FileWorld(useOpenAt2);
            await File.WriteAllTextAsync(Path.Combine(world.Outside, "x"), "secret", TestContext.Current.CancellationToken);
            File.CreateSymbolicLink(world.At("link"), world.Outside);
            File.CreateSymbolicLink(world.At("file-link"), Path.Combine(world.Outside, "x"));
            File.CreateSymbolicLink(world.At("dangling"), Path.Combine(world.Outside, "nothing"));
            await File.WriteAllTextAsync(world.At("plain"), "plain", TestContext.Current.CancellationToken);
            await Run("mkfifo", world.At("pipe"));
            await Run("ln", Path.Combine(world.Outside, "x"), world.At("hard"));
            var outside = world.Snapshot(world.Outside);

            Assert.Equal(type, (await world.Refused(world.Call("files.write", $$"""{ "path": "{{world.Root}}/{{name}}", "text": "t", "overwrite": true }"""))).Type);
            Assert.Equal(type, (await world.Refused(world.Call("files.append", $$"""{ "path": "{{world.Root}}/{{name}}", "text": "t" }"""))).Type);
            Assert.Equal(type, (await world.Refused(world.Call("files.delete", $$"""{ "path": "{{world.Root}}/{{name}}" }"""))).Type);
            if (name != "hard") { Assert.Equal(type, (await world.Refused(world.Call("files.read", $$"""{ "path": "{{world.Root}}/{{name}}" }"""))).Type); }
            Assert.Equal(outside, world.Snapshot(world.Outside));
        }
    }

    [Theory]
    [InlineData("/etc/passwd", "denied")]
    [InlineData("relative", "invalid")]
    public async Task outside_the_grant_is_refused(string path, string type)
    {
        using var world = new FileWorld();
        Assert.Equal(type, (await world.Refused(world.Call("files.read", $$"""{ "path": "{{path}}" }"""))).Type);
        Assert.Equal("denied", (await world.Refused(world.Call("files.list", $$"""{ "path": "{{world.Root}}-beside" }"""))).Type);
    }

    [Fact]
    public async Task is_limited_in_depth_and_length()
    {
        using var world = new FileWorld();
        var deep = string.Concat(Enumerable.Repeat("/d", FileSpace.MaxDepth + 1));
        Assert.Equal("invalid", (await world.Refused(world.Call("files.read", $$"""{ "path": "{{world.Root}}{{deep}}" }"""))).Type);
        Assert.Equal("invalid", (await world.Refused(world.Call("files.read", $$"""{ "path": "{{world.Root}}/{{new string('n', FileSpace.MaxNameBytes + 1)}}" }"""))).Type);
    }

    [Fact]
    public async Task whose_folder_is_swapped_for_a_link_never_leads_outside()
    {
        foreach (var useOpenAt2 in new[] { true, false })
        {
            using var world = new FileWorld(useOpenAt2);
            await File.WriteAllTextAsync(Path.Combine(world.Outside, "secret"), "secret", TestContext.Current.CancellationToken);
            var outside = world.Snapshot(world.Outside);
            Directory.CreateDirectory(world.At("d"));
            File.CreateSymbolicLink(world.At("l"), world.Outside);
            using var stop = new CancellationTokenSource();
            var swaps = 0;
            var swapper = new Thread(() =>
            {
                // RENAME_EXCHANGE: the name is always there, now the folder, now the link.
                using var root = Linux.Open(world.Root, Linux.Folder | Linux.CloseOnExec, 0);
                while (!stop.IsCancellationRequested && Linux.Rename(root, "d", root, "l", 2) == 0) { swaps++; }
            });
            swapper.Start();
            var (done, refused) = (0, 0);
            for (var i = 0; i < 1500; i++)
            {
                var (capability, arguments) = (i % 4) switch
                {
                    0 => ("files.write", $$"""{ "path": "{{world.At("d/f")}}", "text": "t{{i}}", "overwrite": true }"""),
                    1 => ("files.delete", $$"""{ "path": "{{world.At("d/secret")}}" }"""),
                    2 => ("files.move", $$"""{ "from": "{{world.At("d/f")}}", "to": "{{world.At("d/g")}}", "overwrite": true }"""),
                    _ => ("files.read", $$"""{ "path": "{{world.At("d/secret")}}" }"""),
                };
                try
                {
                    await world.Do(world.Call(capability, arguments));
                    done++;
                    Assert.True(i % 4 is 0 or 2);
                }
                catch (CapabilityException) { refused++; }
            }

            await stop.CancelAsync();
            swapper.Join();
            TestContext.Current.SendDiagnosticMessage($"openat2 {useOpenAt2}: {swaps} swaps, {done} done, {refused} refused");
            Assert.True(swaps > 0 && refused > 0);
            Assert.Equal(outside, world.Snapshot(world.Outside));
        }
    }

    private static async Task Run(string program, params string[] arguments)
    {
        using var process = System.Diagnostics.Process.Start(program, arguments);
        await process.WaitForExitAsync();
        Assert.Equal(0, process.ExitCode);
    }
}

public class A_file_that_is_read
{
    public static TheoryData<byte[], string, string> Contents => new()
    {
        { "plain ä"u8.ToArray(), "utf-8", "plain ä" },
        { [0xEF, 0xBB, 0xBF, .. "bom"u8], "utf-8-bom", "bom" },
        { [0xFF, 0xFE, .. Encoding.Unicode.GetBytes("wide")], "utf-16le", "wide" },
        { [0xFE, 0xFF, .. Encoding.BigEndianUnicode.GetBytes("wide")], "utf-16be", "wide" },
        { [(byte)'n', 0xE4], "latin-1", "nä" },
        { [1, 0, 2], "binary", "" },
        { [0x89, 0x50, 0x01, 0xFF], "binary", "" },
        { [], "utf-8", "" },
    };

    [Theory, MemberData(nameof(Contents))]
    public async Task says_its_encoding(byte[] content, string encoding, string text)
    {
        using var world = new FileWorld();
        await File.WriteAllBytesAsync(world.At("f"), content, TestContext.Current.CancellationToken);
        var (plan, result) = await world.Do(world.Call("files.read", $$"""{ "path": "{{world.At("f")}}" }"""));
        Assert.Equal(encoding, result.Result.GetProperty("encoding").GetString());
        Assert.Equal(text, result.Result.GetProperty("text").GetString());
        Assert.Equal(Access.Read, Assert.Single(plan.Touches).Access);
        Assert.Equal(result.Result.GetProperty("sha256").GetString(), plan.Touches[0].Before.Hash);
    }

    [Fact]
    public async Task is_cut_at_the_limit_between_characters()
    {
        using var world = new FileWorld();
        await File.WriteAllTextAsync(world.At("f"), new string('ä', 600_000), TestContext.Current.CancellationToken);
        var (_, result) = await world.Do(world.Call("files.read", $$"""{ "path": "{{world.At("f")}}", "max_bytes": 5 }"""));
        Assert.Equal("ää", result.Result.GetProperty("text").GetString());
        Assert.True(result.Result.GetProperty("truncated").GetBoolean());
        Assert.Equal(1_200_000, result.Result.GetProperty("size_bytes").GetInt64());
    }

    [Fact]
    public async Task is_listed_with_others_in_order_and_strange_names_are_set_apart()
    {
        using var world = new FileWorld();
        Directory.CreateDirectory(world.At("sub"));
        foreach (var name in new[] { "b.TXT", "a.md", "sub/c.txt", "new\nline" }) { await File.WriteAllTextAsync(world.At(name), "x", TestContext.Current.CancellationToken); }
        var (_, result) = await world.Do(world.Call("files.list", $$"""{ "path": "{{world.Root}}", "recursive": true }"""));
        Assert.Equal(["a.md", "b.TXT", "sub", "c.txt"], result.Result.GetProperty("entries").EnumerateArray().Select(e => e.GetProperty("name").GetString()));
        Assert.EndsWith("new\\x0aline", result.Result.GetProperty("refused")[0].GetString(), StringComparison.Ordinal);
        var (_, some) = await world.Do(world.Call("files.list", $$"""{ "path": "{{world.Root}}", "pattern": "*.md" }"""));
        Assert.Equal(1, some.Result.GetProperty("entries").GetArrayLength());
    }

    [Fact]
    public async Task is_one_of_ten_thousand_at_most()
    {
        using var world = new FileWorld();
        for (var i = 0; i <= 10_000; i++) { File.Create(world.At($"f{i}")).Dispose(); }
        var (_, result) = await world.Do(world.Call("files.list", $$"""{ "path": "{{world.Root}}" }"""));
        Assert.True(result.Result.GetProperty("truncated").GetBoolean());
        Assert.Equal(10_000, result.Result.GetProperty("entries").GetArrayLength());
    }

    [Fact]
    public async Task needs_arguments_of_the_declared_shape()
    {
        using var world = new FileWorld();
        Assert.Equal("invalid", (await world.Refused(world.Call("files.read", """{ "file": "/x" }"""))).Type);
        Assert.Equal(8, world.Registry.All.Count);
        Assert.Null(world.Registry.Find("files.format_disk"));
    }
}
