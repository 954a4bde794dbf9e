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
}
