namespace Platform.EndToEnd.Tests;

/// <summary>What the binary answers before it needs a database.</summary>
public sealed class Cli_without_a_database
{
    [Fact]
    public async Task Version_is_one_line_and_as_json_one_object()
    {
        var text = await PlatformProcess.Run("version");
        Assert.True(text.Code == 0, text.ToString());
        Assert.Matches(@"^platform \d+\.\d+\.\d+", text.Out);
        var json = (await PlatformProcess.Run("version", "--json")).Json;
        Assert.Contains((string)json["version"]!, text.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_command_is_named_and_is_the_callers_fault()
    {
        var answer = await PlatformProcess.Run("frobnicate");
        Assert.True(answer.Code == 2, answer.ToString());
        Assert.Contains("frobnicate", answer.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_missing_argument_is_named_and_is_the_callers_fault()
    {
        var answer = await PlatformProcess.Run("check");
        Assert.True(answer.Code == 2, answer.ToString());
        Assert.Contains("check", answer.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_missing_file_is_named_and_is_the_callers_fault()
    {
        foreach (var command in (string[])["check", "run"])
        {
            var answer = await PlatformProcess.Run(command, "/nowhere/daemon.yaml");
            Assert.True(answer.Code == 2, answer.ToString());
            Assert.Contains("There is no file /nowhere/daemon.yaml", answer.Error, StringComparison.Ordinal);
            Assert.Empty(answer.Out);
        }
    }

    [Fact]
    public async Task Errors_too_are_json_where_json_is_asked_for()
    {
        var answer = await PlatformProcess.Run("check", "/nowhere/daemon.yaml", "--json");
        Assert.Equal(2, answer.Code);
        Assert.Equal("daemon.no-file", (string?)System.Text.Json.Nodes.JsonNode.Parse(answer.Error)!["error"]);
    }

    [Fact]
    public async Task A_command_line_that_is_not_understood_is_told_as_json_too()
    {
        var answer = await PlatformProcess.Run("runs", "--nonsense", "--json");
        Assert.Equal(2, answer.Code);
        Assert.Empty(answer.Out);
        var error = System.Text.Json.Nodes.JsonNode.Parse(answer.Error)!;
        Assert.Equal("usage", (string?)error["error"]);
        Assert.Contains("--nonsense", (string?)error["detail"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_shell_is_told_what_fits()
    {
        var suggested = await PlatformProcess.Run("[suggest:11]", "platform re");
        Assert.Contains("replay", suggested.Out.Split('\n'));
        var script = await PlatformProcess.Run("completion", "bash");
        Assert.Contains("complete -o default -F _platform platform", script.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_daemon_with_errors_is_not_run_and_says_so_as_json_too()
    {
        var file = Path.Combine(Path.GetTempPath(), $"platform-bad-{Guid.NewGuid():n}.yaml");
        await File.WriteAllTextAsync(file, "daemon:\n  name: T\n  stages:\n    - { wait: 5m }\n", TestContext.Current.CancellationToken);
        var answer = await PlatformProcess.Run("check", file, "--json");
        Assert.Equal(1, answer.Code);
        Assert.Equal("not supported yet: stages of kind wait", (string?)answer.Json["diagnostics"]![0]!["message"]);
        File.Delete(file);
    }

    [Fact]
    public async Task Without_a_home_the_data_folder_must_be_named_and_is_not_guessed()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "Only root can become a user without a home.");
        string[] asNobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        await using var look = PlatformProcess.Start("/usr/bin/setpriv", [.. asNobody, "/usr/bin/test", "-x", PlatformProcess.Binary]);
        Assert.SkipUnless((await look.End()).Code == 0, "Others may not enter the folder of the build.");
        await using var homeless = PlatformProcess.Start("/usr/bin/setpriv", [.. asNobody, PlatformProcess.Binary, "runs"], new Dictionary<string, string?> { ["HOME"] = "/nonexistent", ["XDG_DATA_HOME"] = null });
        var answer = await homeless.End();
        Assert.True(answer.Code == 2, answer.ToString());
        Assert.Contains("PLATFORM_DATA", answer.Error, StringComparison.Ordinal);
    }
}
