using System.Text;
using Platform.Domain.Daemons.Format;

namespace Platform.Domain.Tests.Format;

public class A_daemon_is_parsed
{
    private static DaemonDefinition Good(string yaml)
    {
        var result = DaemonParser.Parse(yaml);
        Assert.Empty(result.Diagnostics);
        return result.Definition!;
    }

    private static Diagnostic Only(string yaml) => Assert.Single(DaemonParser.Parse(yaml).Diagnostics);

    private const string Header = "daemon:\n  name: T\n  stages:\n";

    private const string Full = """
        spec: daemon/v1
        daemon:
          name: Everything
          version: 1.2.3
          author: someone
          price: free
          inputs:
            - { name: folder, type: file, required: true }
            - { name: tone, type: enum, options: [formal, friendly], default: friendly }
          vars: { limit: 10 }
          defaults:
            agent: local
            retry: { attempts: 2, delay: 5s, on: [timeout] }
            timeout: { attempt: 60s, total: 5m }
            sandbox: { memory: 256M, wall: 30s }
          budget: { credits: 5, usd: 0.10, wall: 1h }
          permissions: { network: [example.org], files: { read: ['/a'], write: ['${ inputs.folder }'] }, capabilities: [files.list] }
          timeout: 2h
          undo: { on_failure: true }
          stages:
            - id: list
              tool: files.list
              with: { path: '${ inputs.folder }' }
              undo: none
              idempotency_key: "'list:' + inputs.folder"
              output: listing
            - name: Judge It!
              prompt: 'Classify.'
              input: { text: '${ listing }' }
              messages: [{ role: user, content: '${ listing }', untrusted: true }]
              if: size(listing.entries) > 0
              retry: 4
              timeout: 90s
              output: { name: verdict, schema: { type: object }, as: output.value, on_invalid: retry }
              on_error: [{ set: { verdict: null } }]
              fallback: [{ agent: { models: [local], seed: 7, max_tokens: 100 }, prompt: again }]
            - script: echo 1
              exit_codes: { 3: retry, 4: success }
              env: { X: '${ vars.limit }' }
            - foreach: listing.entries
              as: file
              parallelism: 4
              on_item_error: collect
              do:
                - switch:
                    - { when: file.kind == 'file', do: [{ emit: { event: seen, data: { n: '${ index }' } } }] }
                    - { default: true, do: [{ raise: { error: conflict, message: 'no ${ file.name }' } }] }
            - { if: vars.limit > 3, then: [{ set: { big: true } }], else: [{ set: { big: false } }] }
            - { http: 'https://example.org/${ inputs.tone }', output: page }
          outputs:
            verdict: '${ verdict }'
            page: { value: '${ page.text }', schema: { type: string } }
        """;

    [Fact]
    public void with_all_that_it_says()
    {
        var daemon = Good(Full);
        Assert.Equal(("Everything", "1.2.3", "someone", true, TimeSpan.FromHours(2)), (daemon.Name, daemon.Version, daemon.Author, daemon.UndoOnFailure, daemon.Timeout));
        Assert.Equal(["list", "judge_it", "script_5", "foreach_6", "if_10", "tool_13"], daemon.Stages.Select(stage => stage.Id).Select(id => id.Replace("http", "tool", StringComparison.Ordinal)));
        Assert.Equal((true, false), (daemon.Inputs[0].Required, daemon.Inputs[1].Required));
        Assert.Equal((5m, 0.10m, TimeSpan.FromHours(1)), (daemon.Budget!.Credits, daemon.Budget.Usd, daemon.Budget.Wall));
        Assert.Single(daemon.Permissions.FilesWrite);

        var list = Assert.IsType<ToolStage>(daemon.Stages[0]);
        Assert.Equal(("files.list", false, 2, TimeSpan.FromSeconds(60)), (list.Capability, list.Undo, list.Common.Retry.Attempts, list.Common.Timeout.Attempt));
        Assert.Equal("${'list:' + inputs.folder}", list.Common.IdempotencyKey!.Source.GetString());
        Assert.Equal(new SourceLocation(21, 7), list.Common.Location);

        var judge = Assert.IsType<AgentStage>(daemon.Stages[1]);
        Assert.Equal(["local"], judge.Agent.Models);
        Assert.Equal((5, TimeSpan.FromSeconds(90), OnInvalid.Retry, "output.value"), (judge.Common.Retry.Attempts, judge.Common.Timeout.Total, judge.Common.Output!.OnInvalid, judge.Common.Output.As!.Text));
        Assert.True(Assert.Single(judge.Messages).Untrusted);
        Assert.Equal(OnErrorKind.Stages, judge.Common.OnError.Kind);
        Assert.Equal(7, Assert.IsType<AgentStage>(Assert.Single(judge.Common.Fallback)).Agent.Seed);

        var script = Assert.IsType<ScriptStage>(daemon.Stages[2]);
        Assert.Equal(("sh", 256L << 20, TimeSpan.FromSeconds(30), "retry"), (script.Runtime, script.Limits.MemoryBytes, script.Limits.Wall, script.ExitCodes[3]));

        var each = Assert.IsType<ForeachStage>(daemon.Stages[3]);
        Assert.Equal(("file", "index", 4, OnItemError.Collect, 1), (each.As, each.Index, each.Parallelism, each.OnItemError, each.Common.Retry.Attempts));
        Assert.Null(Assert.IsType<SwitchStage>(each.Do[0]).Cases[1].When);
        Assert.Equal("http.get", Assert.IsType<ToolStage>(daemon.Stages[5]).Capability);
    }

    [Fact]
    public void and_its_hash_is_that_of_the_bytes()
    {
        var bytes = Encoding.UTF8.GetBytes(Full);
        var hash = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(bytes));
        Assert.Equal(hash, DaemonParser.Parse(Full).Definition!.Hash);
        Assert.Equal(hash, DaemonParser.Parse((ReadOnlySpan<byte>)bytes).Definition!.Hash);
        Assert.Equal("DMN001", Assert.Single(DaemonParser.Parse([(byte)'a', 0xFF]).Diagnostics).Code);
    }

    [Theory]
    [InlineData("retry: 2", 3)]
    [InlineData("retry: 0", 1)]
    [InlineData("retry: { attempts: 2 }", 2)]
    [InlineData("retry: { delay: 1s }", 3)]
    public void with_a_bare_retry_counting_further_attempts_and_attempts_counting_all(string retry, int attempts) =>
        Assert.Equal(attempts, Good($"{Header}    - {{ script: x, {retry} }}").Stages[0].Common.Retry.Attempts);

    [Theory]
    [InlineData("250ms", 0.25)]
    [InlineData("90s", 90)]
    [InlineData("1.5h", 5400)]
    [InlineData("3d", 259200)]
    [InlineData("PT5M", 300)]
    [InlineData("P1DT1.5S", 86401.5)]
    public void with_durations(string duration, double seconds) =>
        Assert.Equal(TimeSpan.FromSeconds(seconds), Good($"{Header}    - {{ script: x, timeout: {duration} }}").Stages[0].Common.Timeout.Total);

    [Theory]
    // Shape
    [InlineData("    - { agent: local, promt: x }", "DMN011", 4, 23, "Unknown key 'promt', did you mean 'prompt'?")]
    [InlineData("    - { name: Sum up, agent: local, promt: x }", "DMN011", 4, 37, "Stage 'Sum up': unknown key 'promt', did you mean 'prompt'?")]
    [InlineData("    - { agent: 5, prompt: x }", "DMN010", 4, 16, "This must be text or a mapping, not 5.")]
    [InlineData("    - { script: x, on_error: contine }", "DMN010", 4, 30, "This must be 'fail', 'continue', 'undo' or a list, not 'contine'.")]
    [InlineData("    - { script: x, timeout: 5 minutes }", "DMN010", 4, 29, "'5 minutes' is not of the form 90s, 5m, 2h, 3d or ISO 8601 (PT5M).")]
    [InlineData("    - { id: 1a, script: x }", "DMN010", 4, 13, "Stage '1a': '1a' is not of the form letters, digits and _, not beginning with a digit.")]
    // What the schema cannot say
    [InlineData("    - { script: x, timeout: 900d }", "DMN012", 4, 29, "'900d' is no duration of at most 366 days.")]
    [InlineData("    - { script: x, timeout: PT }", "DMN012", 4, 29, "'PT' is no duration of at most 366 days.")]
    [InlineData("    - { script: x, retry: -1 }", "DMN012", 4, 27, "retry must be from 0 to 99, not -1.")]
    [InlineData("    - { script: x, retry: { attempts: 101 } }", "DMN012", 4, 39, "At most 100 attempts are made, not 101.")]
    [InlineData("    - { script: x, runtime: pyton }", "DMN012", 4, 29, "'pyton' is no runtime: sh, bash, python or node.")]
    [InlineData("    - { script: x, exit_codes: { 300: fail } }", "DMN012", 4, 34, "'300' is no exit code (0 to 255).")]
    [InlineData("    - { script: x, exit_codes: { 3: maybe } }", "DMN012", 4, 37, "An exit code means success, retry or fail.")]
    [InlineData("    - { script: x, sandbox: { memory: lots } }", "DMN012", 4, 39, "sandbox.memory is a size.")]
    [InlineData("    - { foreach: vars, parallelism: 65, do: [{ script: x }] }", "DMN012", 4, 37, "parallelism is from 1 to 64, not 65.")]
    [InlineData("    - { agent: local, messages: hello }", "DMN012", 4, 33, "messages is a list.")]
    [InlineData("    - { agent: { route: first } }", "DMN012", 4, 16, "No model is named.")]
    [InlineData("    - { script: x, output: { name: a, schema: { type: text } } }", "DMN013", 4, 49, "'text' is no type of JSON Schema: object, array, string, number, integer, boolean, null.")]
    [InlineData("    - { id: a, script: x }\n    - { id: a, script: y }", "DMN014", 5, 13, "The stage id 'a' stands here for the second time; the first is at 4:13.")]
    [InlineData("    - { name: nothing }", "DMN015", 4, 7, "Nothing says what this stage does.")]
    [InlineData("    - { prompt: x }", "DMN015", 4, 7, "No agent is named, here or in defaults.")]
    [InlineData("    - { then: [{ script: x }] }", "DMN015", 4, 9, "'then' needs a condition.")]
    [InlineData("    - { switch: [{ do: [{ script: x }] }] }", "DMN015", 4, 18, "A case needs 'when', or 'default: true'.")]
    [InlineData("    - { foreach: vars }", "DMN015", 4, 9, "'foreach' needs stages to do.")]
    [InlineData("    - { tool: files.list, script: x }", "DMN016", 4, 9, "A stage is of one kind, and this has 'script' or 'tool'.")]
    [InlineData("    - { type: agent, script: x }", "DMN016", 4, 15, "The type is 'agent', and the key 'script' makes it 'script'.")]
    [InlineData("    - { agent: local, prompt: x, prompt_template: y }", "DMN016", 4, 34, "'prompt' and 'prompt_template' are the same; here are both.")]
    [InlineData("    - { script: x, prompt: y }", "DMN017", 4, 20, "Stage 'script_1': 'prompt' has no meaning on a stage of kind script; it belongs to agent.")]
    [InlineData("    - { set: { a: 1 }, with: { b: 1 } }", "DMN017", 4, 24, "Stage 'set_1': 'with' has no meaning on a stage of kind set; it belongs to tool or daemon.")]
    // Expressions, at their column
    [InlineData("    - { script: x, if: 1 + }", "DMN018", 4, 27, null)]
    [InlineData("    - set: { a: 'so ${ 1 + } much' }", "DMN018", 4, 28, null)]
    [InlineData("    - set:\n        a: |\n          first\n          then ${ 1 ** 2 }", "DMN018", 7, 22, null)]
    [InlineData("    - { tool: t, idempotency_key: 1 ++ }", "DMN018", 4, 38, null)]
    public void or_told_what_is_wrong_and_where(string stages, string code, int line, int column, string? message)
    {
        var diagnostic = Only(Header + stages);
        Assert.Equal(Severity.Error, diagnostic.Severity);
        Assert.Equal((code, new SourceLocation(line, column)), (diagnostic.Code, diagnostic.Location));
        if (message is not null) { Assert.Equal(message, diagnostic.Message); }
    }

    [Theory]
    [InlineData("    - Research (Perplexity)", 4, 7, "a stage that is only a description ('Research (Perplexity)')")]
    [InlineData("    - { script: x, agent: local }", 4, 7, "stages of kind hybrid")]
    [InlineData("    - { parallel: [{ script: x }], join: all }", 4, 9, "stages of kind parallel")]
    [InlineData("    - { approval: { by: me } }", 4, 9, "stages of kind approval")]
    [InlineData("    - { wait: 5m }", 4, 9, "stages of kind wait")]
    [InlineData("    - { daemon: other, version: '1' }", 4, 9, "stages of kind daemon")]
    [InlineData("    - { mail: { send: {} } }", 4, 9, "stages of kind mail")]
    [InlineData("    - { crm: { find: {} } }", 4, 9, "stages of kind crm")]
    [InlineData("    - { search: { query: x } }", 4, 9, "stages of kind search")]
    [InlineData("    - { http: { url: 'http://x', method: POST } }", 4, 42, "http with POST")]
    [InlineData("    - { http: { url: 'http://x', body: {} } }", 4, 34, "http.body")]
    [InlineData("    - { http: { url: 'http://x', openapi: y } }", 4, 34, "http.openapi")]
    [InlineData("    - { agent: local, tools: [x] }", 4, 23, "tools of an agent")]
    [InlineData("    - { agent: local, system: 'a ${ x }' }", 4, 34, "expressions in 'system'")]
    [InlineData("    - { agent: local, working_directory: x }", 4, 23, "working_directory")]
    [InlineData("    - { script: x, image: debian }", 4, 20, "image (scripts run in the sandbox of this machine)")]
    [InlineData("    - { script: x, sandbox: { network: any } }", 4, 31, "a script with network")]
    [InlineData("    - { script: x, sandbox: { write: [/tmp] } }", 4, 31, "a script that writes outside its own folder")]
    [InlineData("    - { script: x, sandbox: { cpu: 2 } }", 4, 31, "sandbox.cpu")]
    [InlineData("    - { script: x, cache: true }", 4, 20, "cache of a stage")]
    [InlineData("    - { script: x, approve: true }", 4, 20, "approve")]
    [InlineData("    - { script: x, permissions: { network: any } }", 4, 20, "permissions of a stage")]
    [InlineData("    - { script: x, timeout: { idle_stream: 5s } }", 4, 31, "timeout.idle_stream")]
    [InlineData("    - { script: x, timeout: '${ vars.t }' }", 4, 29, "an expression as a duration")]
    [InlineData("    - { script: x, output: { stream: true } }", 4, 30, "output.stream")]
    [InlineData("    - { script: x, output: { artifact: y } }", 4, 30, "output.artifact")]
    [InlineData("    - { script: x, budget: { on_exceed: ask } }", 4, 41, "on_exceed: ask")]
    [InlineData("    - { script: x, budget: { tokens: 5 } }", 4, 30, "budget.tokens of a stage")]
    [InlineData("    - { foreach: vars, rate: 5/s, do: [{ script: x }] }", 4, 24, "rate")]
    [InlineData("    - { set: { a: 1 }, retry: 1 }", 4, 24, "retry on a stage of kind set")]
    [InlineData("    - { tool: t, undo: { tool: u } }", 4, 24, "an undo of your own")]
    public void or_told_plainly_what_does_not_run_yet(string stages, int line, int column, string what)
    {
        var diagnostic = Only(Header + stages);
        Assert.Equal((Severity.Error, "DMN020", new SourceLocation(line, column), $"not supported yet: {what}"), (diagnostic.Severity, diagnostic.Code, diagnostic.Location, diagnostic.Message));
    }

    [Theory]
    [InlineData("  concurrency: { limit: 1 }", Severity.Error, 3, 3, "concurrency")]
    [InlineData("  permissions: { secrets: [a] }", Severity.Error, 3, 18, "permissions.secrets (no secret reaches a run)")]
    [InlineData("  permissions: { files: workspace }", Severity.Error, 3, 25, "files: workspace")]
    [InlineData("  requires: { mcp: { x: {} } }", Severity.Error, 3, 15, "requires.mcp")]
    [InlineData("  timeout: { attempt: 5s }", Severity.Error, 3, 14, "timeout.attempt of a whole daemon")]
    [InlineData("  inputs: [{ name: a, type: mail }]", Severity.Error, 3, 29, "inputs of type mail")]
    [InlineData("  triggers: [{ type: manual }, { type: cron }]", Severity.Warning, 3, 32, "trigger cron (the daemon is started by hand)")]
    [InlineData("  retention: { events: 5d }", Severity.Warning, 3, 3, "retention (nothing is deleted)")]
    [InlineData("  undo: { window: 5d }", Severity.Warning, 3, 11, "undo.window (effects are undone last first, at any time)")]
    [InlineData("  requires: { platform: '>=1' }", Severity.Warning, 3, 15, "requires.platform (it is not compared)")]
    [InlineData("  tests: [{ name: a, expect: {} }]", Severity.Warning, 3, 3, "tests (they are read, and not run)")]
    public void also_of_the_daemon_as_a_whole(string line, Severity severity, int row, int column, string what)
    {
        var diagnostic = Only($"daemon:\n  name: T\n{line}\n  stages: [{{ set: {{ a: 1 }} }}]");
        Assert.Equal((severity, new SourceLocation(row, column), $"not supported yet: {what}"), (diagnostic.Severity, diagnostic.Location, diagnostic.Message));
    }

    [Fact]
    public void and_a_derived_id_never_takes_a_written_one()
    {
        var daemon = Good($"{Header}    - {{ name: Sum up, script: x }}\n    - {{ name: sum-UP, script: y }}\n    - {{ id: sum_up, script: z }}\n    - {{ name: 3 ways, script: w }}");
        Assert.Equal(["sum_up_2", "sum_up_3", "sum_up", "s_3_ways"], daemon.Stages.Select(stage => stage.Id));
    }

    public static TheoryData<string> Seeds => [.. Cases.Named("seeds", "*.yaml")];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void and_every_design_example_says_plainly_what_of_it_does_not_run_yet(string file)
    {
        var result = DaemonParser.Parse(Cases.Read(file));
        Assert.NotNull(result.Definition);
        Assert.Contains(result.Diagnostics, diagnostic => diagnostic is { Code: "DMN020", Severity: Severity.Error });
        Assert.DoesNotContain(result.Diagnostics, diagnostic => diagnostic.Code is not ("DMN020" or "DMN021"));
    }
}
