"""Hosts that serve models, for proxy mode: their tunnels are opened, all others are passed blind.

First-party traffic of agents that sign in with an account. Add a row when an agent is seen to
use another one; a host that is missing costs a gap, not a session.
"""

from __future__ import annotations

MODEL_HOSTS: dict[str, str] = {
    "api.anthropic.com": "anthropic",
    "api.openai.com": "openai",
    "chatgpt.com": "openai",
    "generativelanguage.googleapis.com": "google",
    "cloudcode-pa.googleapis.com": "google",
    "aiplatform.googleapis.com": "google",
    "api.githubcopilot.com": "github",
    "api.individual.githubcopilot.com": "github",
    "api.business.githubcopilot.com": "github",
    "api.enterprise.githubcopilot.com": "github",
    "api.mistral.ai": "mistral",
    "codestral.mistral.ai": "mistral",
    "openrouter.ai": "openrouter",
    "opencode.ai": "opencode",
    "portal.qwen.ai": "qwen",
    "dashscope.aliyuncs.com": "qwen",
    "dashscope-intl.aliyuncs.com": "qwen",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "xai",
    "api.groq.com": "groq",
    "api.together.xyz": "together",
    "api.fireworks.ai": "fireworks",
    "api.cerebras.ai": "cerebras",
    "api.moonshot.ai": "moonshot",
    "api.z.ai": "zai",
}

__all__ = ["MODEL_HOSTS"]
