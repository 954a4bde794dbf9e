using System.Globalization;
using System.Text;

namespace Platform.Domain.Tests.Runs.Simulation;

/// <summary>Writes daemons of every kind of stage that runs, with what can go wrong in them.</summary>
public sealed class RandomDaemon(Random random)
{
    private int next;

    public string Write()
    {
        var text = new StringBuilder("daemon:\n  name: simulated\n  inputs: [{ name: who, type: string, default: world }]\n  vars: { base: 7 }\n");
        if (random.Next(4) == 0) { text.Append(CultureInfo.InvariantCulture, $"  budget: {{ credits: {random.Next(1, 8) / 100.0} }}\n"); }
        else if (random.Next(8) == 0) { text.Append(CultureInfo.InvariantCulture, $"  budget: {{ tool_calls: {random.Next(1, 4)} }}\n"); }
        if (random.Next(6) == 0) { text.Append(CultureInfo.InvariantCulture, $"  timeout: {random.Next(1, 6)}s\n"); }
        text.Append("  stages:\n");
        Stages(text, "    ", random.Next(1, 6), 2);
        if (random.Next(4) == 0)
        {
            text.Append("  on_error:\n");
            Stages(text, "    ", 1, 0);
        }

        if (random.Next(3) == 0)
        {
            text.Append("  finally:\n");
            Stages(text, "    ", random.Next(1, 3), 1);
        }

        text.Append("  outputs: { who: '${inputs.who}' }\n");
        return text.ToString();
    }

    private void Stages(StringBuilder text, string indent, int count, int depth)
    {
        for (var i = 0; i < count; i++) { Stage(text, indent, depth); }
    }

    private void Stage(StringBuilder text, string indent, int depth)
    {
        var id = string.Create(CultureInfo.InvariantCulture, $"s{next++}");
        text.Append(CultureInfo.InvariantCulture, $"{indent}- id: {id}\n");
        var inner = indent + "  ";
        var body = inner + "  ";
        var kind = random.Next(depth > 0 ? 11 : 8);
        switch (kind)
        {
            case 0 or 1:
                text.Append(inner).Append("agent: local\n").Append(inner).Append("prompt: 'Tell ${inputs.who} about ").Append(id).Append("'\n");
                Common(text, inner, depth, id);
                break;
            case 2:
                text.Append(inner).Append("type: script\n").Append(inner).Append("runtime: sh\n").Append(inner).Append("script: 'echo ").Append(id).Append("'\n");
                text.Append(inner).Append("sandbox: { wall: 2s }\n");
                Common(text, inner, depth, id);
                break;
            case 3 or 4:
                text.Append(inner).Append("tool: world.make\n").Append(inner).Append("with: { name: ").Append(id).Append(" }\n");
                Common(text, inner, depth, id);
                break;
            case 5:
                text.Append(inner).Append("tool: world.look\n").Append(inner).Append("with: { at: sky }\n");
                Common(text, inner, depth, id);
                break;
            case 6:
                text.Append(inner).Append("set: { v").Append(id).Append(": '${vars.base + 1}' }\n");
                break;
            case 7:
                text.Append(inner).Append("if: '").Append(random.Next(2) == 0 ? "vars.base > 5" : "vars.base < 5").Append("'\n");
                text.Append(inner).Append(random.Next(2) == 0 ? "emit: { event: heard, data: { b: 1, aa: '${inputs.who}' } }\n" : "raise: { error: custom, message: 'no ${inputs.who}' }\n");
                break;
            case 8:
                text.Append(inner).Append("if: '").Append(random.Next(2) == 0 ? "vars.base > 5" : "vars.base < 5").Append("'\n").Append(inner).Append("then:\n");
                Stages(text, body, random.Next(1, 3), depth - 1);
                text.Append(inner).Append("else:\n");
                Stages(text, body, 1, depth - 1);
                break;
            default:
                text.Append(inner).Append("foreach: '").Append(random.Next(2) == 0 ? "[1, 2, 3]" : "split(\"a,b,c,d,e\", \",\")").Append("'\n");
                text.Append(inner).Append(CultureInfo.InvariantCulture, $"parallelism: {random.Next(1, 4)}\n");
                text.Append(inner).Append("on_item_error: ").Append(random.Next(3) switch { 0 => "fail", 1 => "collect", _ => "skip" }).Append('\n');
                text.Append(inner).Append("do:\n");
                Stages(text, body, random.Next(1, 3), depth - 1);
                text.Append(inner).Append(CultureInfo.InvariantCulture, $"output: o{id}\n");
                break;
        }
    }

    private void Common(StringBuilder text, string indent, int depth, string id)
    {
        if (random.Next(3) == 0) { text.Append(indent).Append(CultureInfo.InvariantCulture, $"output: o{id}\n"); }
        if (random.Next(2) == 0) { text.Append(indent).Append(CultureInfo.InvariantCulture, $"retry: {{ attempts: {random.Next(1, 4)}, delay: {random.Next(1, 5)}s, backoff: exponential, jitter: true }}\n"); }
        if (depth > 0 && random.Next(5) == 0)
        {
            text.Append(indent).Append("fallback:\n");
            Stages(text, indent + "  ", 1, 0);
        }

        switch (random.Next(6))
        {
            case 0: text.Append(indent).Append("on_error: continue\n"); break;
            case 1: text.Append(indent).Append("on_error: undo\n"); break;
            case 2 when depth > 0:
                text.Append(indent).Append("on_error:\n");
                Stages(text, indent + "  ", 1, 0);
                break;
            default: break;
        }
    }
}
